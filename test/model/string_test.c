/* SPDX-License-Identifier: Apache-2.0 */
/* Random commands for strings and keys, alone and in transactions, against the plain model: with
 * one shard and with three, with values hot and cold, with a clock that jumps, with checkpoints,
 * and with power losses after which the rest of the log is replayed. At the end the whole history
 * is replayed over another number of shards and must come out the same (R12). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/cmocka.h"
#include "support/commandbench.h"
#include "support/random.h"
#include "support/stringmodel.h"

#ifdef FERRIC_SANITIZED
#    define ROUNDS 10000
#else
#    define ROUNDS 40000
#endif
#define DATABASES  3
#define MAX_WORDS  16
#define MAX_QUEUED 14
#define LONG_KEY   300

struct line {
    struct buf words[MAX_WORDS];
    struct slice argv[MAX_WORDS];
    uint32_t argc;
};

struct trial {
    struct random random;
    struct commandbench *bench;
    struct stringmodel model;
    struct line line;
    unsigned refusals;
    unsigned aborts;
    unsigned restarts;
};

/* ---- Making commands ---- */

/* Words stand for themselves; K key, V value, I integer, F decimal, T lifetime in seconds, U in ms,
 * A and B the same as times of day, O options of SET, X options of GETEX, C conditions of EXPIRE, R
 * a range's end, D database, P pairs, N more keys. */
static const char *const templates[] = {
    "get K",           "get K",          "get K",        "mget K N",       "getdel K",
    "getset K V",      "getex K X",      "set K V",      "set K V",        "set K V",
    "set K V O",       "set K V O",      "set K V O",    "setnx K V",      "setex K T V",
    "psetex K U V",    "mset P",         "mset P K",     "msetnx P",       "incr K",
    "incr K",          "decr K",         "incrby K I",   "decrby K I",     "incrbyfloat K F",
    "incrbyfloat K F", "strlen K",       "append K V",   "getrange K R R", "setrange K R V",
    "del K N",         "unlink K",       "exists K N",   "touch K N",      "type K",
    "rename K K",      "renamenx K K",   "copy K K",     "copy K K DB D",  "copy K K REPLACE DB D",
    "flushdb",         "flushall ASYNC", "expire K T C", "pexpire K U C",  "expireat K A C",
    "pexpireat K B C", "persist K",      "ttl K",        "pttl K",         "expiretime K",
    "pexpiretime K",
};

static uint64_t below(struct trial *trial, uint64_t limit)
{
    return random_below(&trial->random, limit);
}

static struct buf *add_word(struct trial *trial)
{
    struct line *line = &trial->line;
    assert_true(line->argc < MAX_WORDS);
    struct buf *word = &line->words[line->argc++];
    buf_reset(word, SIZE_MAX);
    return word;
}

static void add_text(struct trial *trial, const char *text)
{
    buf_append_str(add_word(trial), text);
}

static void add_number(struct trial *trial, int64_t number)
{
    buf_append_format(add_word(trial), "%" PRId64, number);
}

static void add_key(struct trial *trial)
{
    static const char *const keys[] = {"a", "b", "c", "d", "e", "{t}a", "{t}b", "{t}c", "", "f g"};
    uint64_t nth = below(trial, ARRAY_COUNT(keys) + 1);
    if (nth < ARRAY_COUNT(keys)) {
        add_text(trial, keys[nth]);
        return;
    }
    struct buf *word = add_word(trial);
    memset(buf_extend(word, LONG_KEY), 'k', LONG_KEY);
}

static void add_value(struct trial *trial)
{
    static const int64_t edges[] = {INT64_MAX, INT64_MIN, INT64_MAX - 1, 0, -1};
    switch (below(trial, 9)) {
    case 0:
        add_text(trial, "");
        break;
    case 1:
        add_number(trial, edges[below(trial, ARRAY_COUNT(edges))]);
        break;
    case 2:
    case 3:
        add_number(trial, (int64_t)below(trial, 2000) - 1000);
        break;
    case 4:
    case 5:
        buf_append_format(add_word(trial), "%d.%02d", (int)below(trial, 200) - 100,
                          (int)below(trial, 100));
        break;
    case 6: {
        struct buf *word = add_word(trial);
        size_t size = below(trial, 1500);
        memset(buf_extend(word, size), 'v', size);
        break;
    }
    case 7:
        buf_append(add_word(trial), "\r\n\0\xff", 4);
        break;
    default:
        buf_append_format(add_word(trial), "x%u", (unsigned)below(trial, 1000));
    }
}

static void add_bad_number(struct trial *trial)
{
    static const char *const bad[] = {"", "x", "1.5", " 1", "9223372036854775808", "01"};
    add_text(trial, bad[below(trial, ARRAY_COUNT(bad))]);
}

static void add_integer(struct trial *trial)
{
    static const int64_t edges[] = {INT64_MAX, INT64_MIN, INT64_MIN + 1};
    uint64_t kind = below(trial, 12);
    if (kind == 0)
        add_bad_number(trial);
    else if (kind == 1)
        add_number(trial, edges[below(trial, ARRAY_COUNT(edges))]);
    else
        add_number(trial, (int64_t)below(trial, 100) - 50);
}

/* A lifetime, mostly short; now and then none at all. */
static void add_lifetime(struct trial *trial, uint64_t unit_ms, bool is_time_of_day)
{
    uint64_t kind = below(trial, 16);
    int64_t origin = is_time_of_day ? (int64_t)(trial->model.now_ms / unit_ms) : 0;
    if (kind == 0)
        add_bad_number(trial);
    else if (kind == 1)
        add_number(trial, below(trial, 2) == 0 ? INT64_MAX : INT64_MIN);
    else if (kind == 2)
        add_number(trial, -(int64_t)below(trial, 100));
    else
        add_number(trial, origin + (int64_t)below(trial, 20000 / unit_ms) - 1);
}

static void add_set_options(struct trial *trial, bool is_getex)
{
    static const char *const words[] = {"NX", "xx", "GET", "KEEPTTL", "foo", "PERSIST"};
    for (uint64_t left = below(trial, 4); left > 0; left--) {
        switch (below(trial, 6)) {
        case 0:
            add_text(trial, "EX");
            add_lifetime(trial, 1000, false);
            break;
        case 1:
            add_text(trial, "px");
            add_lifetime(trial, 1, false);
            break;
        case 2:
            add_text(trial, below(trial, 2) == 0 ? "EXAT" : "PXAT");
            bool is_seconds = trial->line.words[trial->line.argc - 1].data[0] == 'E';
            add_lifetime(trial, is_seconds ? 1000 : 1, true);
            break;
        default:
            add_text(trial, is_getex && below(trial, 8) > 0
                                ? "PERSIST"
                                : words[below(trial, ARRAY_COUNT(words))]);
        }
    }
}

static void add_conditions(struct trial *trial)
{
    static const char *const words[] = {"NX", "XX", "gt", "LT", "foo"};
    for (uint64_t left = below(trial, 3); left > 0; left--)
        add_text(trial, words[below(trial, below(trial, 8) == 0 ? 5 : 4)]);
}

static void add_range_end(struct trial *trial)
{
    uint64_t kind = below(trial, 16);
    if (kind == 0)
        add_bad_number(trial);
    else if (kind == 1)
        add_number(trial, below(trial, 2) == 0 ? INT64_MAX : INT64_MIN);
    else
        add_number(trial, (int64_t)below(trial, 40) - 12);
}

static void add_token(struct trial *trial, const char *token, size_t len)
{
    if (len > 1) {
        buf_append(add_word(trial), token, len);
        return;
    }
    switch (token[0]) {
    case 'K':
        add_key(trial);
        break;
    case 'N':
        for (uint64_t left = below(trial, 4); left > 0; left--)
            add_key(trial);
        break;
    case 'P':
        for (uint64_t left = 1 + below(trial, 3); left > 0; left--) {
            add_key(trial);
            add_value(trial);
        }
        break;
    case 'V':
        add_value(trial);
        break;
    case 'I':
        add_integer(trial);
        break;
    case 'F':
        buf_append_format(add_word(trial), "%d.%d", (int)below(trial, 200) - 100,
                          (int)below(trial, 1000));
        break;
    case 'T':
    case 'A':
        add_lifetime(trial, 1000, token[0] == 'A');
        break;
    case 'U':
    case 'B':
        add_lifetime(trial, 1, token[0] == 'B');
        break;
    case 'O':
    case 'X':
        add_set_options(trial, token[0] == 'X');
        break;
    case 'C':
        add_conditions(trial);
        break;
    case 'R':
        add_range_end(trial);
        break;
    case 'D':
        add_number(trial, (int64_t)below(trial, DATABASES + 1));
        break;
    default:
        fail();
    }
}

static void make_any_line(struct trial *trial)
{
    struct line *line = &trial->line;
    const char *at;
    line->argc = 0;
    do /* flushes come one in so many: there must be something to flush */
        at = templates[below(trial, ARRAY_COUNT(templates))];
    while (at[0] == 'f' && below(trial, 20) > 0);
    while (*at != '\0') {
        size_t len = strcspn(at, " ");
        add_token(trial, at, len);
        at += len + (at[len] == ' ');
    }
    for (uint32_t i = 0; i < line->argc; i++)
        line->argv[i] = buf_slice(&line->words[i]);
}

static void make_line(struct trial *trial)
{
    do
        make_any_line(trial);
    while (trial->line.argc > 1 && !stringmodel_knows(&trial->model, trial->line.argv));
}

/* ---- Comparing ---- */

static void expect_reply(struct trial *trial, struct slice got)
{
    struct slice want = buf_slice(&trial->model.out);
    if (slice_eq(got, want))
        return;
    struct buf text = {0};
    buf_append_str(&text, "want ");
    commandbench_print(want, &text);
    buf_append_str(&text, "\n got ");
    commandbench_print(got, &text);
    buf_append_str(&text, "\n of");
    for (uint32_t i = 0; i < trial->line.argc; i++)
        buf_append_format(&text, " %.*s", SLICE_FMT(trial->line.argv[i]));
    fail_msg("%.*s", SLICE_FMT(buf_slice(&text)));
}

static void model_next_entry(struct trial *trial)
{
    trial->model.now_ms = trial->bench->store->now_ms;
    trial->model.index = trial->bench->store->index + 1;
    buf_reset(&trial->model.out, SIZE_MAX);
}

static struct slice call(struct trial *trial, const char *word, const char *arg)
{
    struct slice argv[2] = {slice_str(word), slice_str(arg == NULL ? "" : arg)};
    return commandbench_call(trial->bench, argv, arg == NULL ? 1 : 2);
}

static void run_one(struct trial *trial)
{
    struct line *line = &trial->line;
    make_line(trial);
    model_next_entry(trial);
    assert_true(stringmodel_run(&trial->model, line->argv, line->argc));
    bool is_refused = trial->model.out.data[0] == '-';
    uint64_t before = is_refused ? storebench_digest(trial->bench->store) : 0;
    expect_reply(trial, commandbench_call(trial->bench, line->argv, line->argc));
    if (is_refused) /* A user's error leaves no trace. */
        assert_int_equal(storebench_digest(trial->bench->store), before);
    trial->refusals += is_refused;
}

static void choose_database(struct trial *trial)
{
    static const char *const numbers[DATABASES] = {"0", "1", "2"};
    trial->model.db = (uint16_t)below(trial, DATABASES);
    call(trial, "select", numbers[trial->model.db]);
}

/* ---- Transactions ---- */

struct watch_note {
    struct buf name;
    uint16_t db;
    uint64_t changed_at;
};

static uint64_t changed_at(const struct trial *trial, uint16_t db, struct slice name)
{
    const struct model_key *key = stringmodel_find(&trial->model, db, name);
    return key == NULL ? 0 : key->changed_at;
}

static void watch_some_key(struct trial *trial, struct watch_note *note)
{
    trial->line.argc = 0;
    add_text(trial, "watch");
    add_key(trial);
    struct slice argv[2] = {buf_slice(&trial->line.words[0]), buf_slice(&trial->line.words[1])};
    commandbench_call(trial->bench, argv, 2);
    model_next_entry(trial);
    stringmodel_expire(&trial->model);
    *note = (struct watch_note){.db = trial->model.db};
    buf_append_slice(&note->name, argv[1]);
    note->changed_at = changed_at(trial, note->db, argv[1]);
}

static void jump(struct trial *trial)
{
    storebench_tick(trial->bench->store,
                    below(trial, 4) == 0 ? below(trial, 9000) : below(trial, 50));
}

static void run_transaction(struct trial *trial)
{
    struct watch_note note = {.changed_at = 0};
    bool is_watching = below(trial, 2) == 0;
    if (is_watching) {
        watch_some_key(trial, &note);
        if (below(trial, 2) == 0)
            run_one(trial);
        jump(trial);
    }
    model_next_entry(trial);
    stringmodel_expire(&trial->model);
    bool is_changed =
        is_watching && changed_at(trial, note.db, buf_slice(&note.name)) != note.changed_at;
    uint16_t db = trial->model.db;
    uint32_t count = (uint32_t)below(trial, MAX_QUEUED);
    call(trial, "multi", NULL);
    buf_append_format(&trial->model.out, is_changed ? "*-1\r\n" : "*%u\r\n", count);
    for (uint32_t i = 0; i < count; i++) {
        if (below(trial, 6) == 0)
            choose_database(trial);
        make_line(trial);
        assert_true(slice_eq(commandbench_call(trial->bench, trial->line.argv, trial->line.argc),
                             SLICE_LIT("+QUEUED\r\n")));
        if (!is_changed)
            assert_true(stringmodel_run(&trial->model, trial->line.argv, trial->line.argc));
    }
    expect_reply(trial, call(trial, "exec", NULL));
    trial->aborts += is_changed;
    trial->model.db = db;
    trial->bench->db = db;
    buf_fini(&note.name);
}

/* ---- What has no order ---- */

static size_t model_count(const struct trial *trial)
{
    size_t count = 0;
    for (size_t i = 0; i < trial->model.count; i++)
        count += trial->model.keys[i].db == trial->model.db;
    return count;
}

/* Every key of the database is found in the list of bulk strings, and nothing else. */
static void expect_all_keys(struct trial *trial, struct slice list)
{
    size_t count = model_count(trial);
    char header[32];
    snprintf(header, sizeof(header), "*%zu\r\n", count);
    assert_true(slice_eq(slice_sub(list, 0, strlen(header)), slice_str(header)));
    size_t size = strlen(header);
    for (size_t i = 0; i < trial->model.count; i++) {
        const struct model_key *key = &trial->model.keys[i];
        if (key->db != trial->model.db)
            continue;
        struct buf bulk = {0};
        buf_append_format(&bulk, "$%zu\r\n", key->name.len);
        buf_append_slice(&bulk, buf_slice(&key->name));
        buf_append_str(&bulk, "\r\n");
        assert_non_null(memmem(list.data, list.len, bulk.data, bulk.len));
        size += bulk.len;
        buf_fini(&bulk);
    }
    assert_int_equal(list.len, size);
}

static void look_at_all_keys(struct trial *trial)
{
    model_next_entry(trial);
    stringmodel_expire(&trial->model);
    expect_all_keys(trial, call(trial, "keys", "*"));
    struct slice argv[] = {SLICE_LIT("scan"), SLICE_LIT("0"), SLICE_LIT("count"),
                           SLICE_LIT("10000")};
    struct slice scanned = commandbench_call(trial->bench, argv, 4);
    const char *end = "*2\r\n$1\r\n0\r\n";
    assert_true(slice_eq(slice_sub(scanned, 0, strlen(end)), slice_str(end)));
    expect_all_keys(trial, slice_sub(scanned, strlen(end), SIZE_MAX));
    struct slice chosen = call(trial, "randomkey", NULL);
    assert_int_equal(slice_eq(chosen, SLICE_LIT("$-1\r\n")), model_count(trial) == 0);
    /* DBSIZE counts what has expired until it is swept, at the turn of the second. */
    storebench_advance(trial->bench->store, 1000 - trial->model.now_ms % 1000);
    storebench_settle(trial->bench->store);
    model_next_entry(trial);
    stringmodel_expire(&trial->model);
    char size[32];
    snprintf(size, sizeof(size), ":%zu\r\n", model_count(trial));
    assert_true(slice_eq(call(trial, "dbsize", NULL), slice_str(size)));
}

/* ---- The trial ---- */

static void restart(struct trial *trial)
{
    struct simdisk *disk = trial->bench->store->disk;
    commandbench_restart(trial->bench,
                         simdisk_image(disk, simdisk_steps(disk), random_next(&trial->random)));
    trial->restarts++;
}

static void step(struct trial *trial)
{
    struct storebench *store = trial->bench->store;
    uint64_t kind = below(trial, 1000);
    if (kind < 40)
        jump(trial);
    else if (kind < 70)
        storebench_write(store);
    else if (kind < 90)
        choose_database(trial);
    else if (kind < 95)
        look_at_all_keys(trial);
    else if (kind < 98)
        assert_int_equal(storebench_checkpoint(store), 0);
    else if (kind < 99)
        restart(trial);
    else if (kind < 200)
        run_transaction(trial);
    else
        run_one(trial);
}

static void replay_all(struct trial *trial, const struct storebench_options *options)
{
    struct commandbench *again = commandbench_new(options);
    commandbench_replay(trial->bench, 0, again);
    assert_int_equal(storebench_digest(again->store), storebench_digest(trial->bench->store));
    commandbench_free(again);
}

static void run_trial(uint32_t shard_count, size_t hot_max_value)
{
    struct trial trial = {.random = {random_seed()}};
    struct storebench_options options = {.seed = trial.random.state,
                                         .shard_count = shard_count,
                                         .database_count = DATABASES,
                                         .hot_max_value = hot_max_value,
                                         .has_threads = shard_count > 1};
    trial.bench = commandbench_new(&options);
    stringmodel_init(&trial.model, DATABASES);
    trial.model.now_ms = trial.bench->store->now_ms;
    for (int i = 0; i < ROUNDS; i++)
        step(&trial);
    options.seed++;
    options.shard_count = shard_count + 1;
    options.hot_max_value = SIZE_MAX;
    replay_all(&trial, &options);
    print_message("%zu entries, %" PRIu64
                  " runs dropped for cold values, %u refusals, %u aborts, "
                  "%u restarts\n",
                  trial.bench->entry_count, trial.bench->cold_runs, trial.refusals, trial.aborts,
                  trial.restarts);
    assert_true(trial.refusals > 0 && trial.aborts > 0 && trial.restarts > 0);
    assert_true(hot_max_value > 0 || trial.bench->cold_runs > 100);
    stringmodel_fini(&trial.model);
    commandbench_free(trial.bench);
    for (size_t i = 0; i < MAX_WORDS; i++)
        buf_fini(&trial.line.words[i]);
}

static void one_shard(void **state)
{
    (void)state;
    run_trial(1, SIZE_MAX);
}

static void one_shard_cold(void **state)
{
    (void)state;
    run_trial(1, 0);
}

static void three_shards_cold(void **state)
{
    (void)state;
    run_trial(3, 0);
}

static void three_shards_half_cold(void **state)
{
    (void)state;
    run_trial(3, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_shard),
        cmocka_unit_test(one_shard_cold),
        cmocka_unit_test(three_shards_cold),
        cmocka_unit_test(three_shards_half_cold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
