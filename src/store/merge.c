/* SPDX-License-Identifier: Apache-2.0 */
#include "store/merge.h"

#include "base/assert.h"
#include "store/store_internal.h"

/* It says that something older is gone: needed as long as there may be something older. */
static enum merge_verdict judge_end(const struct record *record, uint64_t outside_index)
{
    return record->position >> 16 < outside_index ? MERGE_DROP : MERGE_KEEP_DEAD;
}

/* The state on disk at the next mark is at least what is in memory now. So a row with a greater
 * version stands for a record there that makes this one needless; and a key that is not there has
 * its tombstone or FLUSH there, unless it has expired: then its own record says so. */
static enum merge_verdict judge(void *ctx, const struct merge_item *item, uint64_t outside_index)
{
    const struct store *store = ctx;
    const struct record *record = &item->record;
    const struct db *db = store_db_by_id(store, record->db_id);
    if (db == NULL || record->kind == RECORD_FLUSH)
        return judge_end(record, outside_index);
    const struct row *row = keydir_find(db->dir, record->key, keydir_hash(db->dir, record->key));
    if (row != NULL) {
        ASSERT(row->version >= record->position); /* T13 */
        bool is_it =
            row_place(row).word == place_of(PLACE_SHARED, item->file_id, (uint32_t)item->off).word;
        return is_it ? MERGE_LIVE : MERGE_DROP;
    }
    if (record->kind == RECORD_TOMBSTONE)
        return judge_end(record, outside_index);
    bool has_expired = record->expire_at_ms != 0 && record->expire_at_ms <= store_applied_ms(store);
    return has_expired ? judge_end(record, outside_index) : MERGE_DROP;
}

static void moved(void *ctx, const struct merge_item *item)
{
    struct store *store = ctx;
    struct db *db = store_db_by_id(store, item->record.db_id);
    uint64_t hash = keydir_hash(db->dir, item->record.key);
    struct row *row = keydir_find_mine(db->dir, item->record.key, hash);
    struct place from = place_of(PLACE_SHARED, item->file_id, (uint32_t)item->off);
    if (row == NULL || row->version != item->record.position || row_place(row).word != from.word)
        return; /* T14 */
    row_set_place(row, place_of(PLACE_SHARED, item->new_file_id, (uint32_t)item->new_off));
    bitcask_sub_live(store->bitcask, item->file_id, item->size);
    bitcask_add_live(store->bitcask, item->new_file_id, item->size);
    /* Who waited to make it cold knew it by its old place. */
    store_chill_later(store, db, row, hash);
}

struct bitcask_merge *store_merge_new(struct store *store, const uint32_t *ids, size_t count)
{
    return bitcask_merge_new(store->bitcask, ids, count,
                             (struct merge_events){.judge = judge, .moved = moved, .ctx = store});
}
