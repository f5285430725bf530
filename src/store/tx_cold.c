/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are not in memory: found in the page cache at once, or asked for and handed in later.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/tx_internal.h"

#define SEARCHED_VALUES 8 /* up to so many are searched one by one */

void tx_drop_wants(struct tx *tx)
{
    for (size_t i = 0; i < tx->want_count; i++)
        datafile_unref(tx->wants[i].file);
    tx->want_count = 0;
    if (tx->want_cap > TX_KEPT_ENTRIES) {
        mem_free(tx->wants);
        tx->wants = NULL;
        tx->want_cap = 0;
    }
}

/* ---- Values that were handed in ---- */

static void drop_index(struct tx *tx)
{
    mem_free(tx->loaded_index);
    tx->loaded_index = NULL;
    tx->loaded_index_size = 0;
}

void tx_drop_loaded(struct tx *tx)
{
    for (size_t i = 0; i < tx->loaded_count; i++) {
        buf_fini(&tx->loaded[i].value);
        buf_fini(&tx->loaded[i].key);
    }
    tx->loaded_count = 0;
    tx->is_frozen = false;
    drop_index(tx);
    if (tx->loaded_cap > TX_KEPT_ENTRIES) {
        mem_free(tx->loaded);
        tx->loaded = NULL;
        tx->loaded_cap = 0;
    }
}

/* Where the search for a key's value begins. One command may have written many keys: the version
 * alone would not tell them apart. */
static size_t index_start(const struct tx *tx, struct position version, struct slice key)
{
    return hash_mix(hash_check(key), version.word) & (tx->loaded_index_size - 1);
}

static void index_put(struct tx *tx, size_t nth)
{
    const struct loaded *loaded = &tx->loaded[nth];
    size_t at = index_start(tx, loaded->version, buf_slice(&loaded->key));
    while (tx->loaded_index[at] != 0)
        at = (at + 1) & (tx->loaded_index_size - 1);
    tx->loaded_index[at] = (uint32_t)nth + 1;
}

/* Enters the newest value, and all of them when the index has to grow. */
static void index_newest(struct tx *tx)
{
    if (tx->loaded_count <= SEARCHED_VALUES)
        return;
    if (tx->loaded_count * 2 <= tx->loaded_index_size) {
        index_put(tx, tx->loaded_count - 1);
        return;
    }
    drop_index(tx);
    tx->loaded_index_size = SEARCHED_VALUES * 8;
    while (tx->loaded_index_size < tx->loaded_count * 4)
        tx->loaded_index_size *= 2;
    tx->loaded_index = mem_calloc(tx->loaded_index_size, sizeof(*tx->loaded_index));
    for (size_t i = 0; i < tx->loaded_count; i++)
        index_put(tx, i);
}

static bool is_value_of(const struct loaded *loaded, const struct item *item)
{
    return loaded->version.word == item->version.word && loaded->shard == item->shard &&
           loaded->database_id == item->database_id && slice_eq(buf_slice(&loaded->key), item->key);
}

static struct loaded *find_loaded(struct tx *tx, const struct item *item)
{
    if (tx->loaded_count <= SEARCHED_VALUES) {
        for (size_t i = 0; i < tx->loaded_count; i++) {
            if (is_value_of(&tx->loaded[i], item))
                return &tx->loaded[i];
        }
        return NULL;
    }
    for (size_t at = index_start(tx, item->version, item->key); tx->loaded_index[at] != 0;
         at = (at + 1) & (tx->loaded_index_size - 1)) {
        struct loaded *loaded = &tx->loaded[tx->loaded_index[at] - 1];
        if (is_value_of(loaded, item))
            return loaded;
    }
    return NULL;
}

void tx_put_loaded(struct tx *tx, const struct item *item, struct buf *value)
{
    if (tx->loaded_count == tx->loaded_cap) {
        tx->loaded_cap = tx->loaded_cap == 0 ? 4 : tx->loaded_cap * 2;
        tx->loaded = mem_realloc(tx->loaded, tx->loaded_cap * sizeof(*tx->loaded));
    }
    struct loaded *loaded = &tx->loaded[tx->loaded_count++];
    *loaded = (struct loaded){.value = buf_take(value),
                              .version = item->version,
                              .shard = item->shard,
                              .database_id = item->database_id};
    buf_append_slice(&loaded->key, item->key);
    index_newest(tx);
}

void tx_put_frozen(struct tx *tx, const struct item *item, struct buf *value)
{
    ASSERT(tx->loaded_count == 0);
    tx_put_loaded(tx, item, value);
    tx->is_frozen = true;
    tx->frozen = *item;
    tx->frozen.row = NULL;
    tx->frozen.key = buf_slice(&tx->loaded[0].key);
}

/* ---- Asking ---- */

static void want(struct tx *tx, const struct item *item, const struct store_cold *cold)
{
    if (tx->want_count == tx->want_cap) {
        tx->want_cap = tx->want_cap == 0 ? 4 : tx->want_cap * 2;
        tx->wants = mem_realloc(tx->wants, tx->want_cap * sizeof(*tx->wants));
    }
    struct tx_want *added = &tx->wants[tx->want_count++];
    *added = (struct tx_want){
        .file = cold->file,
        .place = cold->place,
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

/* A merge moves records while readers look: the place changes first, then its old file goes, so
 * that a second look finds the new one. The place of a row that is no longer in the keydir stays
 * what it was. */
static bool pin(const struct tx *tx, const struct item *item, struct store_cold *cold)
{
    const struct store *store = tx->stores->shards[item->shard];
    do {
        cold->place = row_place(item->row);
        cold->file = store_pin(store, cold->place);
    } while (cold->file == NULL && row_place(item->row).word != cold->place.word);
    return cold->file != NULL;
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
    struct store_cold cold = {.database_id = item->database_id};
    if (!pin(tx, item, &cold))
        return tx->mode == TX_INLINE
                   ? ERR_RETRY /* the row has been replaced, and then its file */
                   : diag_set(&tx->diag, ERR_CORRUPT,
                              "a key of shard %u names a data file that is gone", item->shard);
    struct buf value = {0};
    int rc = store_read_cold(&cold, item->row, true, &value, &tx->diag);
    if (rc == 0) {
        tx_put_loaded(tx, item, &value);
        datafile_unref(cold.file);
        *out_value = buf_slice(&tx->loaded[tx->loaded_count - 1].value);
        return 0;
    }
    buf_fini(&value);
    if (rc != -EAGAIN && rc != -EOPNOTSUPP) {
        datafile_unref(cold.file);
        return rc;
    }
    want(tx, item, &cold);
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
