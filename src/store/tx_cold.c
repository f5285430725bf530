/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are not in memory: found in the page cache at once, or asked for and handed in later.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"
#include "store/tx_internal.h"

void tx_drop_wants(struct tx *tx)
{
    for (size_t i = 0; i < tx->want_count; i++)
        datafile_unref(tx->wants[i].file);
    tx->want_count = 0;
}

void tx_drop_loaded(struct tx *tx)
{
    for (size_t i = 0; i < tx->loaded_count; i++) {
        buf_fini(&tx->loaded[i].value);
        buf_fini(&tx->loaded[i].key);
    }
    tx->loaded_count = 0;
    tx->is_frozen = false;
}

static struct loaded *find_loaded(struct tx *tx, const struct item *item)
{
    for (size_t i = 0; i < tx->loaded_count; i++) {
        struct loaded *loaded = &tx->loaded[i];
        if (loaded->version.word == item->version.word && loaded->shard == item->shard &&
            loaded->db == item->db && slice_eq(buf_slice(&loaded->key), item->key))
            return loaded;
    }
    return NULL;
}

void tx_put_loaded(struct tx *tx, uint32_t shard, uint16_t db, struct slice key,
                   struct position version, struct buf *value)
{
    if (tx->loaded_count == tx->loaded_cap) {
        tx->loaded_cap = tx->loaded_cap == 0 ? 4 : tx->loaded_cap * 2;
        tx->loaded = mem_realloc(tx->loaded, tx->loaded_cap * sizeof(*tx->loaded));
    }
    struct loaded *loaded = &tx->loaded[tx->loaded_count++];
    *loaded =
        (struct loaded){.value = buf_take(value), .version = version, .shard = shard, .db = db};
    buf_append_slice(&loaded->key, key);
}

void tx_put_frozen(struct tx *tx, const struct item *item, struct buf *value)
{
    ASSERT(tx->loaded_count == 0);
    tx_put_loaded(tx, item->shard, item->db, item->key, item->version, value);
    tx->is_frozen = true;
    tx->frozen = *item;
    tx->frozen.row = NULL;
    tx->frozen.key = buf_slice(&tx->loaded[0].key);
}

static void want(struct tx *tx, const struct item *item, struct datafile *file, uint16_t db_id)
{
    if (tx->want_count == tx->want_cap) {
        tx->want_cap = tx->want_cap == 0 ? 4 : tx->want_cap * 2;
        tx->wants = mem_realloc(tx->wants, tx->want_cap * sizeof(*tx->wants));
    }
    struct tx_want *added = &tx->wants[tx->want_count++];
    *added = (struct tx_want){
        .file = file,
        .database_id = db_id,
        .place = row_place(item->row),
        .item = *item,
    };
    added->item.row = NULL;
}

size_t tx_want_count(const struct tx *tx)
{
    return tx->want_count;
}

struct tx_want tx_want_take(struct tx *tx, size_t idx)
{
    ASSERT(idx < tx->want_count);
    struct tx_want taken = tx->wants[idx];
    tx->wants[idx].file = NULL;
    return taken;
}

int tx_load(struct tx *tx, const struct item *item, struct slice *out_value)
{
    if (LIKELY(item->row != NULL && row_is_hot(item->row))) {
        *out_value = row_value(item->row);
        return 0;
    }
    const struct loaded *loaded = find_loaded(tx, item);
    if (loaded != NULL) {
        *out_value = buf_slice(&loaded->value);
        return 0;
    }
    ASSERT(item->row != NULL); /* a frozen item has its value */
    const struct store *store = tx->stores->shards[item->shard];
    struct datafile *file = store_pin(store, row_place(item->row));
    if (file == NULL)
        return diag_set(&tx->diag, ERR_CORRUPT, "a key of shard %u names a data file that is gone",
                        item->shard);
    uint16_t database_id = store_database_id(store, item->db);
    struct buf value = {0};
    int rc = store_read_cold(file, database_id, item->row, true, &value, &tx->diag);
    if (rc == 0) {
        tx_put_loaded(tx, item->shard, item->db, item->key, item->version, &value);
        datafile_unref(file);
        *out_value = buf_slice(&tx->loaded[tx->loaded_count - 1].value);
        return 0;
    }
    buf_fini(&value);
    if (rc != -EAGAIN && rc != -EOPNOTSUPP) {
        datafile_unref(file);
        return rc;
    }
    want(tx, item, file, database_id);
    return ERR_COLD;
}

const struct diag *tx_diag(const struct tx *tx)
{
    return &tx->diag;
}

size_t tx_bytes(const struct tx *tx)
{
    size_t bytes = tx->overlay.cap * sizeof(struct change);
    for (size_t i = 0; i < tx->overlay.count; i++) {
        if (tx->overlay.changes[i].row != NULL)
            bytes += row_bytes(tx->overlay.changes[i].row);
    }
    for (size_t i = 0; i < tx->loaded_count; i++)
        bytes += tx->loaded[i].value.cap;
    return bytes;
}
