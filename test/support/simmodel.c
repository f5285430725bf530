/* SPDX-License-Identifier: Apache-2.0 */
#include "support/simmodel.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/value.h"
#include "support/simtext.h"

struct model_row {
    uint16_t db;
    struct buf key;
    struct buf value;
    uint64_t expire_at_ms;
    uint64_t hash; /* its part of the digest */
};

struct simmodel {
    struct model_row *rows;
    size_t count;
    size_t cap;
};

/* What a command works on. */
struct step {
    struct simmodel *model;
    const struct simtext_command *command;
    uint16_t db;
    uint64_t time_ms;
    struct buf *reply;
};

struct simmodel *simmodel_new(void)
{
    return mem_calloc(1, sizeof(struct simmodel));
}

static void row_fini(struct model_row *row)
{
    buf_fini(&row->key);
    buf_fini(&row->value);
}

void simmodel_free(struct simmodel *model)
{
    if (model == NULL)
        return;
    for (size_t i = 0; i < model->count; i++)
        row_fini(&model->rows[i]);
    mem_free(model->rows);
    mem_free(model);
}

struct simmodel *simmodel_copy(const struct simmodel *model)
{
    struct simmodel *copy = simmodel_new();
    copy->rows = mem_calloc(model->count, sizeof(*copy->rows));
    copy->count = model->count;
    copy->cap = model->count;
    for (size_t i = 0; i < model->count; i++) {
        struct model_row *row = &copy->rows[i];
        *row = model->rows[i];
        row->key = (struct buf){0};
        row->value = (struct buf){0};
        buf_append_slice(&row->key, buf_slice(&model->rows[i].key));
        buf_append_slice(&row->value, buf_slice(&model->rows[i].value));
    }
    return copy;
}

/* ---- Rows ---- */

static bool is_due(const struct model_row *row, uint64_t now_ms)
{
    return row->expire_at_ms != 0 && row->expire_at_ms <= now_ms;
}

static struct model_row *find_any(const struct simmodel *model, uint16_t db, struct slice key)
{
    for (size_t i = 0; i < model->count; i++) {
        struct model_row *row = &model->rows[i];
        if (row->db == db && slice_eq(buf_slice(&row->key), key))
            return row;
    }
    return NULL;
}

static struct model_row *find(const struct step *step, struct slice key)
{
    struct model_row *row = find_any(step->model, step->db, key);
    return row == NULL || is_due(row, step->time_ms) ? NULL : row;
}

static void remove_row(struct simmodel *model, struct model_row *row)
{
    row_fini(row);
    *row = model->rows[--model->count];
}

static void remove_key(struct step *step, struct slice key)
{
    struct model_row *row = find_any(step->model, step->db, key);
    if (row != NULL)
        remove_row(step->model, row);
}

/* As the store's digest defines it. */
static uint64_t hash_row(const struct model_row *row)
{
    uint64_t hash = hash_check2(buf_slice(&row->key), buf_slice(&row->value));
    hash = hash_mix(hash, hash_mix(row->expire_at_ms, (uint64_t)VALUE_STRING << 16 | row->db));
    return hash_mix(hash, row->key.len);
}

/* Takes the value's bytes. */
static void put(struct step *step, struct slice key, struct buf *value, uint64_t expire_at_ms)
{
    if (expire_at_ms != 0 && expire_at_ms <= step->time_ms) {
        buf_fini(value);
        remove_key(step, key);
        return;
    }
    struct simmodel *model = step->model;
    struct model_row *row = find_any(model, step->db, key);
    if (row == NULL) {
        if (model->count == model->cap) {
            model->cap = model->cap == 0 ? 64 : model->cap * 2;
            model->rows = mem_realloc(model->rows, model->cap * sizeof(*model->rows));
        }
        row = &model->rows[model->count++];
        *row = (struct model_row){.db = step->db};
        buf_append_slice(&row->key, key);
    }
    buf_fini(&row->value);
    row->value = buf_take(value);
    row->expire_at_ms = expire_at_ms;
    row->hash = hash_row(row);
}

static struct buf copy_of(struct slice bytes)
{
    struct buf copy = {0};
    buf_append_slice(&copy, bytes);
    return copy;
}

/* ---- Replies ---- */

static void say_int(struct step *step, int64_t v)
{
    buf_append_format(step->reply, ":%lld\r\n", (long long)v);
}

static void say(struct step *step, const char *line)
{
    buf_append_format(step->reply, "%s\r\n", line);
}

static void say_bulk(struct step *step, struct slice bytes)
{
    buf_append_format(step->reply, "$%zu\r\n", bytes.len);
    buf_append_slice(step->reply, bytes);
    buf_append_str(step->reply, "\r\n");
}

static void say_value(struct step *step, const struct model_row *row)
{
    if (row == NULL)
        say(step, "$-1");
    else
        say_bulk(step, buf_slice(&row->value));
}

/* ---- Commands ---- */

static struct slice arg(const struct step *step, uint32_t nth)
{
    ASSERT(nth < step->command->argc);
    return step->command->argv[nth];
}

static int64_t number(const struct step *step, uint32_t nth)
{
    int64_t v;
    bool is_number = num_parse_i64(arg(step, nth), &v);
    ASSERT(is_number);
    return v;
}

static void do_set(struct step *step)
{
    uint64_t expire_at_ms = 0;
    const struct model_row *row = find(step, arg(step, 1));
    if (step->command->argc > 3) {
        if (slice_is(arg(step, 3), "px"))
            expire_at_ms = step->time_ms + (uint64_t)number(step, 4);
        else if (slice_is(arg(step, 3), "pxat"))
            expire_at_ms = (uint64_t)number(step, 4);
        else if (slice_is(arg(step, 3), "keepttl"))
            expire_at_ms = row == NULL ? 0 : row->expire_at_ms;
        else
            UNREACHABLE("an option of SET that the model does not know");
    }
    struct buf value = copy_of(arg(step, 2));
    put(step, arg(step, 1), &value, expire_at_ms);
    say(step, "+OK");
}

static void do_get(struct step *step)
{
    say_value(step, find(step, arg(step, 1)));
}

static void do_mget(struct step *step)
{
    buf_append_format(step->reply, "*%u\r\n", step->command->argc - 1);
    for (uint32_t i = 1; i < step->command->argc; i++)
        say_value(step, find(step, arg(step, i)));
}

static void do_exists(struct step *step)
{
    int64_t count = 0;
    for (uint32_t i = 1; i < step->command->argc; i++)
        count += find(step, arg(step, i)) != NULL;
    say_int(step, count);
}

static void do_strlen(struct step *step)
{
    const struct model_row *row = find(step, arg(step, 1));
    say_int(step, row == NULL ? 0 : (int64_t)row->value.len);
}

/* Of the whole: from 0 to -1. */
static void do_getrange(struct step *step)
{
    const struct model_row *row = find(step, arg(step, 1));
    ASSERT(number(step, 2) == 0 && number(step, 3) == -1);
    say_bulk(step, row == NULL ? SLICE_EMPTY : buf_slice(&row->value));
}

static void do_getdel(struct step *step)
{
    say_value(step, find(step, arg(step, 1)));
    remove_key(step, arg(step, 1));
}

static void add(struct step *step, int64_t change)
{
    const struct model_row *row = find(step, arg(step, 1));
    int64_t v = 0;
    if (row != NULL && !num_parse_i64(buf_slice(&row->value), &v)) {
        say(step, "-ERR value is not an integer or out of range");
        return;
    }
    struct buf value = {0};
    buf_append_format(&value, "%lld", (long long)(v + change));
    put(step, arg(step, 1), &value, row == NULL ? 0 : row->expire_at_ms);
    say_int(step, v + change);
}

static void do_incr(struct step *step)
{
    add(step, 1);
}

static void do_incrby(struct step *step)
{
    add(step, number(step, 2));
}

static void do_append(struct step *step)
{
    const struct model_row *row = find(step, arg(step, 1));
    struct buf value = row == NULL ? (struct buf){0} : copy_of(buf_slice(&row->value));
    buf_append_slice(&value, arg(step, 2));
    size_t len = value.len;
    put(step, arg(step, 1), &value, row == NULL ? 0 : row->expire_at_ms);
    say_int(step, (int64_t)len);
}

static void do_mset(struct step *step)
{
    for (uint32_t i = 1; i + 1 < step->command->argc; i += 2) {
        struct buf value = copy_of(arg(step, i + 1));
        put(step, arg(step, i), &value, 0);
    }
    say(step, "+OK");
}

static void do_del(struct step *step)
{
    int64_t count = 0;
    for (uint32_t i = 1; i < step->command->argc; i++) {
        count += find(step, arg(step, i)) != NULL;
        remove_key(step, arg(step, i));
    }
    say_int(step, count);
}

static void copy_row(struct step *step, const struct model_row *from, struct slice to)
{
    struct buf value = copy_of(buf_slice(&from->value));
    put(step, to, &value, from->expire_at_ms);
}

static void do_rename(struct step *step)
{
    const struct model_row *from = find(step, arg(step, 1));
    if (from == NULL) {
        say(step, "-ERR no such key");
        return;
    }
    if (!slice_eq(arg(step, 1), arg(step, 2))) {
        copy_row(step, from, arg(step, 2));
        remove_key(step, arg(step, 1));
    }
    say(step, "+OK");
}

/* Of two different keys, and always with REPLACE. */
static void do_copy(struct step *step)
{
    const struct model_row *from = find(step, arg(step, 1));
    ASSERT(step->command->argc == 4 && slice_is(arg(step, 3), "replace"));
    ASSERT(!slice_eq(arg(step, 1), arg(step, 2)));
    if (from != NULL)
        copy_row(step, from, arg(step, 2));
    say_int(step, from != NULL);
}

static void set_expiry(struct step *step, uint64_t expire_at_ms)
{
    struct model_row *row = find(step, arg(step, 1));
    say_int(step, row != NULL);
    if (row == NULL)
        return;
    struct buf value = buf_take(&row->value);
    put(step, arg(step, 1), &value, expire_at_ms);
}

static void do_pexpire(struct step *step)
{
    set_expiry(step, step->time_ms + (uint64_t)number(step, 2));
}

static void do_pexpireat(struct step *step)
{
    set_expiry(step, (uint64_t)number(step, 2));
}

static void do_persist(struct step *step)
{
    const struct model_row *row = find(step, arg(step, 1));
    if (row == NULL || row->expire_at_ms == 0)
        say_int(step, 0);
    else
        set_expiry(step, 0);
}

static void flush(struct simmodel *model, int db)
{
    for (size_t i = model->count; i-- > 0;) {
        if (db < 0 || model->rows[i].db == db)
            remove_row(model, &model->rows[i]);
    }
}

static void do_flushdb(struct step *step)
{
    flush(step->model, step->db);
    say(step, "+OK");
}

static void do_flushall(struct step *step)
{
    flush(step->model, -1);
    say(step, "+OK");
}

static void do_swapdb(struct step *step)
{
    uint16_t one = (uint16_t)number(step, 1);
    uint16_t other = (uint16_t)number(step, 2);
    for (size_t i = 0; i < step->model->count; i++) {
        struct model_row *row = &step->model->rows[i];
        if (row->db == one || row->db == other) {
            row->db = row->db == one ? other : one;
            row->hash = hash_row(row);
        }
    }
    say(step, "+OK");
}

static void do_move(struct step *step)
{
    struct step there = *step;
    there.db = (uint16_t)number(step, 2);
    if (there.db == step->db) {
        say(step, "-ERR source and destination objects are the same");
        return;
    }
    const struct model_row *from = find(step, arg(step, 1));
    bool is_moved = from != NULL && find(&there, arg(step, 1)) == NULL;
    if (is_moved) {
        copy_row(&there, from, arg(step, 1));
        remove_key(step, arg(step, 1));
    }
    say_int(step, is_moved);
}

static const struct {
    const char *name;
    void (*run)(struct step *step);
} commands[] = {
    {"mget", do_mget},           {"exists", do_exists},   {"strlen", do_strlen},
    {"getrange", do_getrange},   {"set", do_set},         {"get", do_get},
    {"getdel", do_getdel},       {"incr", do_incr},       {"incrby", do_incrby},
    {"append", do_append},       {"mset", do_mset},       {"del", do_del},
    {"rename", do_rename},       {"copy", do_copy},       {"pexpire", do_pexpire},
    {"pexpireat", do_pexpireat}, {"persist", do_persist}, {"flushdb", do_flushdb},
    {"flushall", do_flushall},   {"swapdb", do_swapdb},   {"move", do_move},
};

static void apply_one(struct step *step)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (slice_is(step->command->argv[0], commands[i].name)) {
            commands[i].run(step);
            return;
        }
    }
    UNREACHABLE("a command that the model does not know");
}

void simmodel_apply(struct simmodel *model, const char *text, uint64_t time_ms, struct buf *reply)
{
    struct simtext parsed;
    struct buf dropped = {0};
    simtext_parse(text, &parsed);
    struct step step = {.model = model,
                        .db = parsed.db,
                        .time_ms = time_ms,
                        .reply = reply == NULL ? &dropped : reply};
    if (parsed.is_transaction)
        buf_append_format(step.reply, "*%u\r\n", parsed.count);
    for (uint32_t i = 0; i < parsed.count; i++) {
        step.command = &parsed.commands[i];
        apply_one(&step);
    }
    buf_fini(&dropped);
}

/* ---- Looking ---- */

uint64_t simmodel_digest(const struct simmodel *model, uint64_t now_ms)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < model->count; i++) {
        if (!is_due(&model->rows[i], now_ms))
            sum += model->rows[i].hash;
    }
    return sum;
}

void simmodel_visit(const struct simmodel *model, uint64_t now_ms, simmodel_visit_fn visit,
                    void *ctx)
{
    for (size_t i = 0; i < model->count; i++) {
        const struct model_row *row = &model->rows[i];
        if (!is_due(row, now_ms))
            visit(ctx, row->db, buf_slice(&row->key), buf_slice(&row->value), row->expire_at_ms);
    }
}

size_t simmodel_count(const struct simmodel *model, uint16_t db, uint64_t now_ms)
{
    size_t count = 0;
    for (size_t i = 0; i < model->count; i++)
        count += model->rows[i].db == db && !is_due(&model->rows[i], now_ms);
    return count;
}

const struct buf *simmodel_get(const struct simmodel *model, uint16_t db, struct slice key,
                               uint64_t now_ms)
{
    const struct model_row *row = find_any(model, db, key);
    return row == NULL || is_due(row, now_ms) ? NULL : &row->value;
}
