/* SPDX-License-Identifier: Apache-2.0 */
#include "command/transaction.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "command/codec.h"
#include "command/tally.h"

#define WATCHES      1 /* arguments of EXEC */
#define FIRST_QUEUED 2

#define WATCHES_DATABASE 0x8000u /* in the number of a watched key: it is about the database */

/* ---- Watched keys ---- */

struct watch {
    uint16_t db;
    struct slice key;
    uint64_t version;
};

static void put_watch(struct buf *to, uint16_t db, struct slice key, uint64_t version)
{
    ASSERT(key.len <= ROW_MAX_KEY);
    uint8_t *at = buf_extend(to, 12);
    put_u16(at, db);
    put_u16(at + 2, (uint16_t)key.len);
    put_u64(at + 4, version);
    buf_append_slice(to, key);
}

void watch_encode(struct buf *to, const struct watched_key *watched)
{
    ASSERT(watched->db < STORE_MAX_DATABASES);
    if (watched->version != 0) {
        uint8_t id[2];
        put_u16(id, watched->database_id);
        put_watch(to, watched->db | WATCHES_DATABASE, slice_of(id, sizeof(id)), 0);
    }
    put_watch(to, watched->db, watched->key, watched->version);
}

static bool is_of_database(const struct watch *watch)
{
    return (watch->db & WATCHES_DATABASE) != 0;
}

/* The next watched key. False at the end, and when the bytes are none (then reader->failed). */
static bool next_watch(struct reader *reader, struct watch *out)
{
    if (reader_left(reader) == 0)
        return false;
    out->db = reader_u16(reader);
    size_t key_len = reader_u16(reader);
    out->version = reader_u64(reader);
    out->key = reader_bytes(reader, key_len);
    if (is_of_database(out) && out->key.len != 2)
        reader->failed = true;
    return !reader->failed;
}

static bool is_in_range(const struct watch *watch, uint32_t database_count)
{
    return (watch->db & ~WATCHES_DATABASE) < database_count;
}

/* 0 and whether what is watched has changed; or a code to return. */
static int look_at(struct call *call, const struct watch *watch, bool *out_changed)
{
    if (is_of_database(watch)) {
        uint16_t db = (uint16_t)(watch->db & ~WATCHES_DATABASE);
        *out_changed = tx_database_id(call->tx, db) != get_u16(watch->key.data);
        return 0;
    }
    struct item item;
    int rc = tx_peek(call->tx, watch->db, watch->key, &item);
    uint64_t version = rc != 0 || item.type == VALUE_NONE ? 0 : item.version.word;
    *out_changed = rc == 0 && version != watch->version;
    return rc;
}

static int look_at_watches(struct call *call, bool *out_changed)
{
    struct reader reader;
    struct watch watch;
    *out_changed = false;
    reader_init(&reader, call->argv[WATCHES]);
    while (next_watch(&reader, &watch)) {
        bool is_changed = false;
        int rc = is_in_range(&watch, tx_database_count(call->tx))
                     ? look_at(call, &watch, &is_changed)
                     : ERR_CORRUPT;
        if (rc != 0)
            return rc;
        *out_changed |= is_changed;
    }
    return reader_is_done(&reader) ? 0 : ERR_CORRUPT;
}

/* ---- Queued commands ---- */

/* A queued command taken apart; the array is used again for the next one. */
struct queued {
    const struct command_row *row;
    uint16_t db;
    uint32_t argc;
    struct slice *argv;
    size_t argv_cap;
};

/* False for what is no command that a transaction may hold. Input is hostile (M5). */
static bool open_queued(const struct command_table *table, struct slice bytes, struct queued *to)
{
    struct coded_command coded;
    if (command_decode(bytes, &coded) != 0 || coded.size != bytes.len ||
        coded.db >= STORE_MAX_DATABASES)
        return false;
    to->row = command_by_id(table, coded.id);
    if (to->row == NULL || (to->row->flags & CMD_INTERNAL) != 0 ||
        !command_arity_fits(to->row, coded.argc))
        return false;
    if (coded.argc > to->argv_cap) {
        to->argv_cap = coded.argc < 16 ? 16 : coded.argc;
        to->argv = mem_realloc(to->argv, to->argv_cap * sizeof(*to->argv));
    }
    to->db = coded.db;
    to->argc = coded.argc;
    command_fill_argv(&coded, to->argv);
    return true;
}

/* ---- Keys ---- */

static bool find_watched(struct slice watches, command_key_fn on_key, void *ctx)
{
    struct reader reader;
    struct watch watch;
    reader_init(&reader, watches);
    while (next_watch(&reader, &watch)) {
        if (!is_in_range(&watch, STORE_MAX_DATABASES))
            return false;
        if (!is_of_database(&watch))
            on_key(ctx, watch.db, watch.key);
    }
    return reader_is_done(&reader);
}

static enum keys_found find_keys(const struct command_table *table, const struct slice *argv,
                                 uint32_t argc, bool may_write, command_key_fn on_key, void *ctx)
{
    if (argc <= WATCHES || !find_watched(argv[WATCHES], on_key, ctx))
        return KEYS_MALFORMED;
    struct queued queued = {0};
    enum keys_found found = KEYS_FOUND;
    for (uint32_t i = FIRST_QUEUED; i < argc && found != KEYS_MALFORMED; i++) {
        enum keys_found of_one = KEYS_MALFORMED;
        if (open_queued(table, argv[i], &queued) &&
            (may_write || (queued.row->flags & CMD_READONLY) != 0))
            of_one = command_keys(
                table, queued.row,
                &(struct request){.argv = queued.argv, .argc = queued.argc, .db = queued.db},
                on_key, ctx);
        if (of_one != KEYS_FOUND)
            found = of_one;
    }
    mem_free(queued.argv);
    return found;
}

static enum keys_found find_writing_keys(const struct command_table *table,
                                         const struct slice *argv, uint32_t argc, uint16_t db,
                                         command_key_fn on_key, void *ctx)
{
    (void)db; /* each command and each watched key has its own */
    return find_keys(table, argv, argc, true, on_key, ctx);
}

static enum keys_found find_reading_keys(const struct command_table *table,
                                         const struct slice *argv, uint32_t argc, uint16_t db,
                                         command_key_fn on_key, void *ctx)
{
    (void)db;
    return find_keys(table, argv, argc, false, on_key, ctx);
}

/* ---- Execution ---- */

static int run_queued(struct call *call, struct slice bytes, struct queued *queued)
{
    /* Refused where its keys were found, but for the database, of which only the store knows. */
    if (!open_queued(call->table, bytes, queued) || queued->db >= tx_database_count(call->tx))
        return ERR_CORRUPT;
    struct call one = *call;
    one.row = queued->row;
    one.argv = queued->argv;
    one.argc = queued->argc;
    one.db = queued->db;
    tx_note_misses(call->tx, (queued->row->flags & CMD_READONLY) != 0);
    size_t mark = call->reply->out->len;
    unsigned counted = CMD_READONLY | CMD_COUNTS_READS;
    tx_count_lookups(call->tx, (queued->row->flags & counted) != 0);
    int rc = queued->row->run(&one);
    if (rc == 0 && call->tally != NULL)
        tally_after_inner(
            call->tally,
            &(struct tally_call){.row = queued->row,
                                 .argv = queued->argv,
                                 .argc = queued->argc,
                                 .reply = slice_sub(buf_slice(call->reply->out), mark, SIZE_MAX)});
    return rc;
}

/* Runs all commands. A cold value voids the run, but those behind it are run all the same, so that
 * they too can ask for what they need (M4); what else they meet then counts for nothing. */
static int run_all(struct call *call)
{
    struct queued queued = {0};
    int rc = 0;
    for (uint32_t i = FIRST_QUEUED; i < call->argc && (rc == 0 || rc == ERR_COLD); i++) {
        int rc_of_one = run_queued(call, call->argv[i], &queued);
        if (rc == 0)
            rc = rc_of_one;
    }
    mem_free(queued.argv);
    return rc;
}

static int run_transaction(struct call *call)
{
    bool is_changed;
    tx_count_lookups(call->tx, false);
    int rc = look_at_watches(call, &is_changed);
    if (rc != 0)
        return rc;
    if (is_changed) {
        reply_null_array(call->reply);
        return 0;
    }
    reply_array(call->reply, call->argc - FIRST_QUEUED);
    if (call->tally != NULL)
        tally_start_inner(call->tally);
    return run_all(call);
}

static int run_without_multi(struct call *call)
{
    reply_error(call->reply, "ERR EXEC without MULTI");
    return 0;
}

/* ---- Rows ---- */

static const struct command_row rows[] = {
    {
        .id = 200,
        .name = "exec",
        .arity = {FIRST_QUEUED, ARITY_ANY},
        .flags = CMD_WRITE | CMD_LOADS_VALUE | CMD_INTERNAL,
        .keys = {.kind = KEY_RULE_FN, .access = KEY_RW, .fn = find_writing_keys},
        .categories = "slow transaction",
        .group = "transactions",
        .since = "1.2.0",
        .complexity = "that of the queued commands",
        .summary = "Runs queued commands of which some write.",
        .syntax = "watches [command ...]",
        .run = run_transaction,
    },
    {
        .id = 201,
        .name = "exec",
        .arity = {FIRST_QUEUED, ARITY_ANY},
        .flags = CMD_READONLY | CMD_INTERNAL | CMD_SHOWS_VALUE,
        .keys = {.kind = KEY_RULE_FN, .access = KEY_RO, .fn = find_reading_keys},
        .categories = "slow transaction",
        .group = "transactions",
        .since = "1.2.0",
        .complexity = "that of the queued commands",
        .summary = "Runs queued commands that only read.",
        .syntax = "watches [command ...]",
        .run = run_transaction,
    },
    {
        .name = "exec",
        .arity = {1, 1},
        .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_SKIP_SLOWLOG | CMD_IN_MULTI_NOW,
        .scope = SCOPE_NODE,
        .keys = KEYS_NONE,
        .categories = "slow transaction",
        .group = "transactions",
        .since = "1.2.0",
        .complexity = "that of the queued commands",
        .summary = "Runs the commands queued since MULTI, all at one instant or not at all.",
        .syntax = "",
        .run = run_without_multi,
    },
};

const struct command_row *transaction_row(bool has_writes)
{
    return &rows[has_writes ? 0 : 1];
}

bool command_may_grow(const struct command_table *table, const struct command_row *row,
                      const struct slice *argv, uint32_t argc)
{
    bool may_grow = (row->flags & CMD_DENYOOM) != 0;
    if (row != transaction_row(true))
        return may_grow;
    for (uint32_t i = FIRST_QUEUED; i < argc && !may_grow; i++) {
        struct coded_command coded;
        const struct command_row *queued =
            command_decode(argv[i], &coded) == 0 ? command_by_id(table, coded.id) : NULL;
        may_grow = queued != NULL && (queued->flags & CMD_DENYOOM) != 0;
    }
    return may_grow;
}

const struct command_family transaction_family = {
    .name = "transaction", .rows = rows, .row_count = ARRAY_COUNT(rows)};
