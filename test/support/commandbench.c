/* SPDX-License-Identifier: Apache-2.0 */
#include "support/commandbench.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/num.h"
#include "command/args.h"
#include "command/codec.h"
#include "command/families.h"
#include "command/transaction.h"
#include "support/cmocka.h"

#define MAX_WORDS 4096
#define MAX_LINE  512

struct command_table *commandbench_table(void)
{
    const struct command_family *families[] = {
        &string_family, &string_number_family, &string_range_family, &keyspace_family,
        &bitmap_family, &bitfield_family,      &hyperloglog_family,  &lcs_family,
        &expire_family, &scan_family,          &transaction_family,  &object_family,
        &dump_family,   &memory_family,        &debug_family,
    };
    return command_table_new(families, ARRAY_COUNT(families));
}

struct commandbench *commandbench_over(struct storebench *store)
{
    struct commandbench *bench = mem_calloc(1, sizeof(*bench));
    bench->store = store;
    bench->table = commandbench_table();
    bench->proto = 2;
    return bench;
}

struct commandbench *commandbench_new(const struct storebench_options *options)
{
    return commandbench_over(storebench_new(options));
}

void commandbench_free(struct commandbench *bench)
{
    if (bench == NULL)
        return;
    storebench_free(bench->store);
    command_table_free(bench->table);
    buf_fini(&bench->queue);
    buf_fini(&bench->watches);
    buf_fini(&bench->reply);
    buf_fini(&bench->text);
    buf_fini(&bench->journal);
    mem_free(bench->entries);
    mem_free(bench);
}

/* ---- Running ---- */

static int run_fn(struct commandbench *bench, const struct command_row *row, command_fn run,
                  uint16_t db, const struct slice *argv, uint32_t argc)
{
    buf_reset(&bench->reply, SIZE_MAX);
    struct reply reply = reply_to(&bench->reply, bench->proto);
    struct call call = {.row = row,
                        .argv = argv,
                        .argc = argc,
                        .db = db,
                        .tx = bench->store->tx,
                        .reply = &reply,
                        .table = bench->table};
    return run(&call);
}

static int run_row(struct commandbench *bench, const struct command_row *row, uint16_t db,
                   const struct slice *argv, uint32_t argc)
{
    return run_fn(bench, row, row->run, db, argv, argc);
}

struct named_shards {
    const struct stores *stores;
    uint64_t set;
};

static void name_shard(void *ctx, uint16_t db, struct slice key)
{
    struct named_shards *named = ctx;
    (void)db;
    named->set |= UINT64_C(1) << stores_shard_of(named->stores, key);
}

static uint64_t record_count(const struct storebench *store, uint32_t shard)
{
    return bitcask_stats(store_bitcask(store->stores.shards[shard])).records;
}

/* Publishes; only shards of keys that the rule names may have got records (M7). */
static void commit_within(struct commandbench *bench, const struct coded_command *coded,
                          const struct command_row *row, const struct slice *argv)
{
    struct storebench *store = bench->store;
    struct named_shards named = {.stores = &store->stores};
    uint64_t before[STORES_MAX];
    enum keys_found found = command_keys(
        bench->table, row, &(struct request){.argv = argv, .argc = coded->argc, .db = coded->db},
        name_shard, &named);
    assert_int_not_equal(found, KEYS_MALFORMED);
    for (uint32_t i = 0; i < store->stores.count; i++)
        before[i] = record_count(store, i);
    storebench_commit(store);
    for (uint32_t i = 0; i < store->stores.count; i++) {
        if (found == KEYS_FOUND && (named.set >> i & 1) == 0)
            assert_int_equal(record_count(store, i), before[i]);
    }
}

/* Runs the coded command as a shard applies it, at the last entry's position. */
static void apply_coded(struct commandbench *bench, struct slice bytes)
{
    struct coded_command coded;
    assert_int_equal(command_decode(bytes, &coded), 0);
    const struct command_row *row = command_by_id(bench->table, coded.id);
    assert_non_null(row);
    struct slice *argv = mem_calloc(coded.argc, sizeof(*argv));
    command_fill_argv(&coded, argv);
    struct storebench *store = bench->store;
    storebench_begin_again(store);
    int rc;
    while ((rc = run_row(bench, row, coded.db, argv, coded.argc)) == ERR_COLD) {
        bench->cold_runs++;
        assert_true(storebench_load(store) > 0);
        storebench_begin_again(store);
    }
    if (rc != 0)
        fail_msg("%s: %s", row->name, err_text(rc));
    commit_within(bench, &coded, row, argv);
    if (bench->is_chilling)
        storebench_write(store);
    mem_free(argv);
}

static void note_entry(struct commandbench *bench, struct slice coded)
{
    if (bench->entry_count == bench->entry_cap) {
        bench->entry_cap = bench->entry_cap == 0 ? 64 : bench->entry_cap * 2;
        bench->entries = mem_realloc(bench->entries, bench->entry_cap * sizeof(*bench->entries));
    }
    bench->entries[bench->entry_count++] = (struct journal_entry){
        .now_ms = bench->store->now_ms, .index = bench->store->index, .off = bench->journal.len};
    buf_append_slice(&bench->journal, coded);
}

static void encode_to(struct buf *to, const struct command_row *row, uint16_t db,
                      const struct slice *argv, uint32_t argc)
{
    size_t size = command_coded_size(argv, argc);
    assert_true(size > 0);
    command_encode(buf_extend(to, size), row->id, db, argv, argc);
}

static void log_row(struct commandbench *bench, const struct command_row *row,
                    const struct slice *argv, uint32_t argc)
{
    struct buf coded = {0};
    encode_to(&coded, row, bench->db, argv, argc);
    bench->store->index++;
    note_entry(bench, buf_slice(&coded));
    apply_coded(bench, buf_slice(&coded));
    buf_fini(&coded);
}

/* What a peek answers is what the log would have, and nothing would have changed. */
static void write_row(struct commandbench *bench, const struct command_row *row,
                      const struct slice *argv, uint32_t argc)
{
    struct storebench *store = bench->store;
    int rc = ERR_RETRY;
    if (row->peek != NULL) {
        storebench_begin(store, TX_INLINE);
        rc = run_fn(bench, row, row->peek, bench->db, argv, argc);
        if (tx_needs_clock(store->tx))
            rc = ERR_RETRY;
        tx_reset(store->tx);
    }
    if (rc != 0) {
        log_row(bench, row, argv, argc);
        return;
    }
    bench->peeks++;
    struct buf peeked = buf_take(&bench->reply);
    uint64_t before = storebench_digest(store);
    log_row(bench, row, argv, argc);
    assert_true(slice_eq(buf_slice(&peeked), buf_slice(&bench->reply)));
    assert_int_equal(storebench_digest(store), before);
    buf_fini(&peeked);
}

/* One try of a read; what it has to read from disk is read. */
static int try_read(struct commandbench *bench, const struct command_row *row, enum tx_mode mode,
                    const struct slice *argv, uint32_t argc)
{
    struct storebench *store = bench->store;
    int rc = ERR_COLD;
    for (int i = 0; rc == ERR_COLD; i++) {
        assert_true(i < 3);
        storebench_begin(store, mode);
        rc = run_row(bench, row, bench->db, argv, argc);
        if (rc == ERR_COLD) {
            bench->cold_runs++;
            assert_true(storebench_load(store) > 0);
        }
    }
    if (mode == TX_INLINE && rc == 0)
        assert_true(tx_is_valid(store->tx));
    if (tx_needs_clock(store->tx))
        rc = ERR_RETRY;
    tx_reset(store->tx);
    return rc;
}

static void read_row(struct commandbench *bench, const struct command_row *row,
                     const struct slice *argv, uint32_t argc)
{
    if (try_read(bench, row, TX_READ, argv, argc) == ERR_RETRY) {
        storebench_advance(bench->store, 0); /* the CLOCK entry that it takes */
        assert_int_equal(try_read(bench, row, TX_READ, argv, argc), 0);
    }
    if ((row->flags & CMD_POINT) == 0)
        return;
    struct buf on_shard = buf_take(&bench->reply);
    assert_int_equal(try_read(bench, row, TX_INLINE, argv, argc), 0);
    assert_true(slice_eq(buf_slice(&on_shard), buf_slice(&bench->reply)));
    buf_fini(&on_shard);
}

/* ---- What a session does ---- */

static void watch_keys(struct commandbench *bench, const struct slice *argv, uint32_t argc)
{
    storebench_advance(bench->store, 0);
    storebench_begin(bench->store, TX_READ);
    for (uint32_t i = 1; i < argc; i++) {
        struct item item;
        assert_int_equal(tx_peek(bench->store->tx, bench->db, argv[i], &item), 0);
        watch_encode(&bench->watches,
                     &(struct watched_key){
                         .key = argv[i],
                         .version = item.type == VALUE_NONE ? 0 : item.version.word,
                         .db = bench->db,
                         .database_id = item.database_id,
                     });
    }
    tx_reset(bench->store->tx);
}

static void leave_multi(struct commandbench *bench)
{
    bench->in_multi = false;
    bench->queue_count = 0;
    buf_reset(&bench->queue, SIZE_MAX);
    buf_reset(&bench->watches, SIZE_MAX);
}

static void exec_queue(struct commandbench *bench)
{
    struct slice *argv = mem_calloc(bench->queue_count + 2, sizeof(*argv));
    bool has_writes = false;
    argv[1] = buf_slice(&bench->watches);
    struct slice rest = buf_slice(&bench->queue);
    for (size_t i = 0; i < bench->queue_count; i++) {
        struct coded_command coded;
        assert_int_equal(command_decode(rest, &coded), 0);
        argv[2 + i] = slice_sub(rest, 0, coded.size);
        rest = slice_sub(rest, coded.size, SIZE_MAX);
        has_writes |= (command_by_id(bench->table, coded.id)->flags & CMD_WRITE) != 0;
    }
    const struct command_row *row = transaction_row(has_writes);
    if (has_writes)
        write_row(bench, row, argv, (uint32_t)bench->queue_count + 2);
    else
        read_row(bench, row, argv, (uint32_t)bench->queue_count + 2);
    mem_free(argv);
    leave_multi(bench);
}

/* True if it was one of them. */
static bool run_session_command(struct commandbench *bench, const struct slice *argv, uint32_t argc)
{
    struct reply reply = reply_to(&bench->reply, bench->proto);
    int64_t number;
    if (slice_is(argv[0], "multi")) {
        bench->in_multi = true;
    } else if (slice_is(argv[0], "discard")) {
        leave_multi(bench);
    } else if (slice_is(argv[0], "watch")) {
        watch_keys(bench, argv, argc);
    } else if (slice_is(argv[0], "select")) {
        assert_true(num_parse_i64(argv[1], &number));
        bench->db = (uint16_t)number;
    } else if (slice_is(argv[0], "advance")) {
        assert_true(num_parse_i64(argv[1], &number));
        storebench_tick(bench->store, (uint64_t)number);
    } else if (slice_is(argv[0], "exec") && bench->in_multi) {
        exec_queue(bench);
        return true;
    } else {
        return false;
    }
    reply_ok(&reply);
    return true;
}

struct slice commandbench_call(struct commandbench *bench, const struct slice *argv, uint32_t argc)
{
    buf_reset(&bench->reply, SIZE_MAX);
    if (run_session_command(bench, argv, argc))
        return buf_slice(&bench->reply);
    struct reply reply = reply_to(&bench->reply, bench->proto);
    const struct command_row *parent;
    const struct command_row *row = command_find(bench->table, argv, argc, &parent);
    if (row == NULL)
        args_reply_unknown(&reply, argv, argc);
    else if (!command_arity_fits(row, argc))
        args_reply_arity(&reply, row);
    else if (row->scope == SCOPE_NODE)
        assert_int_equal(run_row(bench, row, bench->db, argv, argc), 0);
    else if (bench->in_multi) {
        encode_to(&bench->queue, row, bench->db, argv, argc);
        bench->queue_count++;
        reply_status(&reply, "QUEUED");
    } else if ((row->flags & CMD_WRITE) != 0)
        write_row(bench, row, argv, argc);
    else
        read_row(bench, row, argv, argc);
    return buf_slice(&bench->reply);
}

void commandbench_replay(const struct commandbench *from, size_t first, struct commandbench *to)
{
    struct slice journal = buf_slice(&from->journal);
    for (size_t i = first; i < from->entry_count; i++) {
        const struct journal_entry *entry = &from->entries[i];
        to->store->now_ms = entry->now_ms;
        to->store->index = entry->index;
        apply_coded(to, slice_sub(journal, entry->off, SIZE_MAX));
    }
    if (to != from)
        to->store->now_ms = from->store->now_ms;
}

void commandbench_restart(struct commandbench *bench, struct simdisk *image)
{
    struct storebench *old = bench->store;
    struct storebench_options options = old->options;
    struct diag diag = {.text = ""};
    uint64_t now_ms = old->now_ms;
    uint64_t digest = storebench_digest(old);
    options.seed++; /* another order of rows */
    storebench_free(old);
    bench->store = storebench_open(&options, image, &diag);
    if (bench->store == NULL)
        fail_msg("the store cannot be opened again: %s", diag.text);
    size_t first = 0;
    while (first < bench->entry_count && bench->entries[first].index <= bench->store->index)
        first++;
    commandbench_replay(bench, first, bench);
    storebench_advance(bench->store, now_ms - bench->store->now_ms);
    assert_int_equal(storebench_digest(bench->store), digest);
}

/* ---- Scripts ---- */

/* Returns where the next line begins. */
static const char *play_line(struct commandbench *bench, const char *line)
{
    char command[MAX_LINE];
    char reply[MAX_LINE];
    const char *arrow = strstr(line, " -> ");
    const char *end = strchr(line, '\n');
    assert_true(arrow != NULL && end != NULL && arrow < end && end - line < MAX_LINE);
    snprintf(command, sizeof(command), "%.*s", (int)(arrow - line), line);
    snprintf(reply, sizeof(reply), "%.*s", (int)(end - arrow - 4), arrow + 4);
    commandbench_expect(bench, command, reply);
    return end + 1;
}

static void play_on(const struct storebench_options *options, bool is_chilling, const char *script)
{
    struct commandbench *bench = commandbench_new(options);
    bench->is_chilling = is_chilling;
    while (*script != '\0')
        script = play_line(bench, script);
    struct storebench_options other = {.seed = options->seed + 1,
                                       .shard_count = options->shard_count + 4,
                                       .hot_max_value = SIZE_MAX};
    struct commandbench *replayed = commandbench_new(&other);
    commandbench_replay(bench, 0, replayed);
    assert_int_equal(storebench_digest(replayed->store), storebench_digest(bench->store));
    commandbench_free(replayed);
    commandbench_free(bench);
}

void commandbench_play(const char *script)
{
    play_on(&(struct storebench_options){.seed = 1, .hot_max_value = SIZE_MAX}, false, script);
    play_on(&(struct storebench_options){.seed = 2, .shard_count = 3, .has_threads = true}, true,
            script);
}

/* ---- Text ---- */

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = strchr(digits, c);
    assert_true(c != '\0' && at != NULL);
    return (int)(at - digits);
}

/* The word at *line, unquoted into `to`; moves *line behind it. */
static struct slice next_word(const char **line, uint8_t *to)
{
    const char *at = *line;
    size_t len = 0;
    bool is_quoted = *at == '"';
    at += is_quoted;
    while (*at != '\0' && *at != (is_quoted ? '"' : ' ')) {
        if (is_quoted && at[0] == '\\' && at[1] == 'x') {
            to[len++] = (uint8_t)(hex_digit(at[2]) << 4 | hex_digit(at[3]));
            at += 4;
        } else {
            at += is_quoted && at[0] == '\\';
            to[len++] = (uint8_t)*at++;
        }
    }
    at += is_quoted;
    while (*at == ' ')
        at++;
    *line = at;
    return slice_of(to, len);
}

const char *commandbench_run(struct commandbench *bench, const char *line)
{
    uint8_t *bytes = mem_alloc(strlen(line) + 1);
    struct slice *argv = mem_calloc(MAX_WORDS, sizeof(*argv));
    size_t used = 0;
    uint32_t argc = 0;
    while (*line != '\0') {
        assert_true(argc < MAX_WORDS);
        argv[argc] = next_word(&line, bytes + used);
        used += argv[argc++].len;
    }
    struct slice reply = commandbench_call(bench, argv, argc);
    buf_reset(&bench->text, SIZE_MAX);
    assert_int_equal(commandbench_print(reply, &bench->text), reply.len);
    buf_append_byte(&bench->text, '\0');
    mem_free(argv);
    mem_free(bytes);
    return (const char *)bench->text.data;
}

void commandbench_expect(struct commandbench *bench, const char *line, const char *want)
{
    const char *got = commandbench_run(bench, line);
    if (strcmp(got, want) != 0)
        fail_msg("%s\n  want %s\n  got  %s", line, want, got);
}

static void print_bytes(struct slice bytes, struct buf *to)
{
    buf_append_byte(to, '"');
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.data[i];
        if (byte < ' ' || byte > '~' || byte == '"' || byte == '\\')
            buf_append_format(to, "\\x%02x", byte);
        else
            buf_append_byte(to, byte);
    }
    buf_append_byte(to, '"');
}

/* The line at the front, without its end. */
static struct slice line_of(struct slice bytes)
{
    const uint8_t *end = bytes.len == 0 ? NULL : memchr(bytes.data, '\r', bytes.len);
    return end == NULL ? SLICE_EMPTY : slice_of(bytes.data, (size_t)(end - bytes.data));
}

static size_t print_array(struct slice reply, size_t used, int64_t count, struct buf *to);

size_t commandbench_print(struct slice reply, struct buf *to)
{
    struct slice line = line_of(reply);
    int64_t number = 0;
    if (line.len == 0)
        return 0;
    size_t used = line.len + 2;
    char kind = (char)line.data[0];
    bool is_number = num_parse_i64(slice_sub(line, 1, SIZE_MAX), &number);
    if (kind == '+' || kind == '-' || kind == ':') {
        buf_append_slice(to, line);
        return used;
    }
    if (kind == '_' || (is_number && number < 0)) {
        buf_append_str(to, "nil");
        return used;
    }
    assert_true(is_number);
    if (kind == '$') {
        print_bytes(slice_sub(reply, used, (size_t)number), to);
        return used + (size_t)number + 2;
    }
    assert_int_equal(kind, '*');
    return print_array(reply, used, number, to);
}

static size_t print_array(struct slice reply, size_t used, int64_t count, struct buf *to)
{
    buf_append_byte(to, '[');
    for (int64_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_str(to, ", ");
        size_t size = commandbench_print(slice_sub(reply, used, SIZE_MAX), to);
        if (size == 0)
            return 0;
        used += size;
    }
    buf_append_byte(to, ']');
    return used;
}
