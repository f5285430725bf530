/* SPDX-License-Identifier: Apache-2.0 */
/* manifest: the one file that says what the state on disk is: exactly the bytes that it names (R1).
 *
 * File "manifest" in the root of the data directory, replaced whole: written beside it, synced,
 * renamed, directory synced. It holds the group's identity and layout, the index X up to which the
 * named bytes hold the state, the clock to judge that state by (R15), and for every shard its data
 * files with their lengths. The first one, X = 0, is durable before the first frame or data file.
 *
 * Threads: none of its own; save and load block on the disk.
 * Format:  store/README.md.
 */
#ifndef STORE_MANIFEST_H
#define STORE_MANIFEST_H

#include "base/diag.h"
#include "bitcask/bitcask.h"
#include "os/os.h"

#define MANIFEST_NAME    "manifest"
#define MANIFEST_VERSION 1

struct manifest_shard {
    uint32_t next_file_id;
    size_t file_count;
    struct bitcask_named *files;
};

struct manifest {
    bool begins_log; /* a copy: its log begins behind X, where there is none yet */
    uint64_t group_id;
    uint64_t node_id;
    uint64_t checkpoint_number;
    uint64_t index;      /* X */
    uint64_t term;       /* of X */
    uint64_t state_ms;   /* clock of the last entry <= X */
    uint64_t ceiling_ms; /* no stamp or read has gone beyond (R23) */
    uint64_t hash_point; /* the group's seed for content-defined choices (R12) */
    uint64_t configuration_index;
    struct buf configuration; /* as consensus encodes it; opaque here */
    uint32_t database_count;
    uint16_t *database_ids; /* stable id of each number (R35) */
    uint32_t shard_count;
    struct manifest_shard *shards;
};

/* Frees what it points to. */
void manifest_fini(struct manifest *manifest);

void manifest_encode(const struct manifest *manifest, struct buf *to);

/* By the first bytes of a file alone. */
bool manifest_is_one(struct slice bytes);

/* Input is hostile. ERR_CORRUPT, ERR_VERSION; diag says what is wrong, not where. */
MUST_CHECK
int manifest_decode(struct slice bytes, struct manifest *out_manifest, struct diag *diag);

/* ERR_NOT_FOUND if there is none in `dir`. Other errors name the path. */
MUST_CHECK
int manifest_load(struct fs *fs, const char *dir, struct manifest *out_manifest, struct diag *diag);

/* Durable when it returns 0. After an error the old one, the new one or both may be what the next
 * start finds: nothing that either needs may go before a later save has succeeded (R15). */
MUST_CHECK
int manifest_save(struct fs *fs, const char *dir, const struct manifest *manifest,
                  struct diag *diag);

#endif
