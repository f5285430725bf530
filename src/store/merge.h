/* SPDX-License-Identifier: Apache-2.0 */
/* merge: which records of a store's files are still needed, and where its keys lie afterwards.
 *
 * What a merge may drop (R8): a record that a newer one of its key, or a FLUSH, has replaced; and a
 * tombstone, a FLUSH or an expired record, once no file outside the merge can hold anything that it
 * keeps dead. What it copies is found again by key, version and place (R18), so that a key which
 * has been written anew meanwhile is left alone.
 *
 * Threads: as for the merge of a bitcask (bitcask/merge.h): owner, but for the run.
 */
#ifndef STORE_MERGE_H
#define STORE_MERGE_H

#include "bitcask/merge.h"
#include "store/store.h"

/* A merge of these sealed files of the store's bitcask; bitcask_merge_free() ends it. */
struct bitcask_merge *store_merge_new(struct store *store, const uint32_t *ids, size_t count);

#endif
