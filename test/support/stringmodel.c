/* SPDX-License-Identifier: Apache-2.0 */
#include "support/stringmodel.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

#define MILLION      1000000
#define UNIT         INT64_C(1000000000000000000) /* of a decimal number */
#define KNOWN_DIGITS 20

/* Holds every sum and product of two numbers of 64 bits. */
__extension__ typedef __int128 wide;

/* ---- Keys ---- */

void stringmodel_init(struct stringmodel *model, uint16_t database_count)
{
    *model = (struct stringmodel){.database_count = database_count};
}

static void forget(struct stringmodel *model, size_t nth)
{
    buf_fini(&model->keys[nth].name);
    buf_fini(&model->keys[nth].value);
    model->keys[nth] = model->keys[--model->count];
}

void stringmodel_fini(struct stringmodel *model)
{
    while (model->count > 0)
        forget(model, 0);
    mem_free(model->keys);
    buf_fini(&model->out);
}

void stringmodel_expire(struct stringmodel *model)
{
    for (size_t i = model->count; i-- > 0;) {
        uint64_t expire_at_ms = model->keys[i].expire_at_ms;
        if (expire_at_ms != 0 && expire_at_ms <= model->now_ms)
            forget(model, i);
    }
}

static struct model_key *find_in(const struct stringmodel *model, uint16_t db, struct slice name)
{
    for (size_t i = 0; i < model->count; i++) {
        struct model_key *key = &model->keys[i];
        if (key->db == db && slice_eq(buf_slice(&key->name), name))
            return key;
    }
    return NULL;
}

const struct model_key *stringmodel_find(const struct stringmodel *model, uint16_t db,
                                         struct slice name)
{
    return find_in(model, db, name);
}

static struct model_key *find(struct stringmodel *model, struct slice name)
{
    return find_in(model, model->db, name);
}

static void drop(struct stringmodel *model, uint16_t db, struct slice name)
{
    struct model_key *key = find_in(model, db, name);
    if (key != NULL)
        forget(model, (size_t)(key - model->keys));
}

/* `value` may be the key's own. */
static void put_in(struct stringmodel *model, uint16_t db, struct slice name, struct slice value,
                   uint64_t expire_at_ms)
{
    struct model_key fresh = {.db = db, .expire_at_ms = expire_at_ms, .changed_at = model->index};
    buf_append_slice(&fresh.name, name);
    buf_append_slice(&fresh.value, value);
    drop(model, db, name);
    if (model->count == model->cap) {
        model->cap = model->cap == 0 ? 16 : model->cap * 2;
        model->keys = mem_realloc(model->keys, model->cap * sizeof(*model->keys));
    }
    model->keys[model->count++] = fresh;
    stringmodel_expire(model);
}

static void put(struct stringmodel *model, struct slice name, struct slice value,
                uint64_t expire_at_ms)
{
    put_in(model, model->db, name, value, expire_at_ms);
}

/* ---- Replies ---- */

static void say(struct stringmodel *model, const char *line)
{
    buf_append_format(&model->out, "%s\r\n", line);
}

static void say_int(struct stringmodel *model, int64_t v)
{
    buf_append_format(&model->out, ":%" PRId64 "\r\n", v);
}

static void say_bulk(struct stringmodel *model, struct slice bytes)
{
    buf_append_format(&model->out, "$%zu\r\n", bytes.len);
    buf_append_slice(&model->out, bytes);
    say(model, "");
}

static void say_value(struct stringmodel *model, const struct model_key *key)
{
    if (key == NULL)
        say(model, "$-1");
    else
        say_bulk(model, buf_slice(&key->value));
}

static bool number_at(struct stringmodel *model, struct slice text, int64_t *out)
{
    if (num_parse_i64(text, out))
        return true;
    say(model, "-ERR value is not an integer or out of range");
    return false;
}

/* ---- Expiry arguments ---- */

/* The time in ms that `text` stands for; false after "invalid expire time". */
static bool time_at(struct stringmodel *model, const char *command, struct slice text,
                    bool is_seconds, bool is_relative, int64_t *out)
{
    int64_t number;
    if (!number_at(model, text, &number))
        return false;
    bool must_be_positive = strstr(command, "expire") == NULL;
    wide ms = number;
    ms *= is_seconds ? 1000 : 1;
    bool is_bad = (must_be_positive && number <= 0) || ms > INT64_MAX || ms < INT64_MIN;
    ms += is_relative ? (int64_t)model->now_ms : 0;
    if (is_bad || ms > INT64_MAX) {
        buf_append_format(&model->out, "-ERR invalid expire time in '%s' command\r\n", command);
        return false;
    }
    *out = (int64_t)ms;
    return true;
}

/* ---- Strings ---- */

static void run_get(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    (void)argc;
    say_value(model, find(model, argv[1]));
}

static void run_mget(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    buf_append_format(&model->out, "*%u\r\n", argc - 1);
    for (uint32_t i = 1; i < argc; i++)
        say_value(model, find(model, argv[i]));
}

static void run_getdel(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    run_get(model, argv, argc);
    drop(model, model->db, argv[1]);
}

static void run_getset(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    run_get(model, argv, argc);
    put(model, argv[1], argv[2], 0);
}

struct words {
    bool nx, xx, get, keepttl, persist;
    int lifetimes; /* of different kinds */
    char kind[16];
    struct slice time;
};

static void lower(struct slice word, char *to, size_t size)
{
    size_t len = word.len < size - 1 ? word.len : size - 1;
    for (size_t i = 0; i < len; i++)
        to[i] = (char)tolower(word.data[i]);
    to[len] = '\0';
}

/* False for a syntax error. */
static bool read_words(const struct slice *argv, uint32_t argc, uint32_t at, struct words *to)
{
    *to = (struct words){0};
    for (; at < argc; at++) {
        char word[16];
        lower(argv[at], word, sizeof(word));
        bool is_time = strcmp(word, "ex") == 0 || strcmp(word, "px") == 0 ||
                       strcmp(word, "exat") == 0 || strcmp(word, "pxat") == 0;
        if (is_time) {
            if (++at == argc)
                return false;
            to->lifetimes += strcmp(to->kind, word) != 0;
            snprintf(to->kind, sizeof(to->kind), "%s", word);
            to->time = argv[at];
        } else if (strcmp(word, "nx") == 0)
            to->nx = true;
        else if (strcmp(word, "xx") == 0)
            to->xx = true;
        else if (strcmp(word, "get") == 0)
            to->get = true;
        else if (strcmp(word, "keepttl") == 0)
            to->keepttl = true;
        else if (strcmp(word, "persist") == 0)
            to->persist = true;
        else
            return false;
    }
    return !(to->nx && to->xx) && to->lifetimes + to->keepttl + to->persist <= 1;
}

static bool time_of_words(struct stringmodel *model, const char *command, const struct words *words,
                          uint64_t *out)
{
    int64_t ms = 0;
    if (words->kind[0] != '\0' &&
        !time_at(model, command, words->time, words->kind[0] == 'e', words->kind[2] == '\0', &ms))
        return false;
    *out = (uint64_t)ms;
    return true;
}

static void run_set(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    struct words words;
    uint64_t expire_at_ms;
    if (!read_words(argv, argc, 3, &words) || words.persist) {
        say(model, "-ERR syntax error");
        return;
    }
    if (!time_of_words(model, "set", &words, &expire_at_ms))
        return;
    const struct model_key *old = find(model, argv[1]);
    bool is_set = old == NULL ? !words.xx : !words.nx;
    if (words.get)
        say_value(model, old);
    else
        say(model, is_set ? "+OK" : "$-1");
    if (words.keepttl && old != NULL)
        expire_at_ms = old->expire_at_ms;
    if (is_set)
        put(model, argv[1], argv[2], expire_at_ms);
}

static void run_getex(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    struct words words;
    uint64_t expire_at_ms;
    if (!read_words(argv, argc, 2, &words) || words.keepttl || words.get || words.nx || words.xx) {
        say(model, "-ERR syntax error");
        return;
    }
    const struct model_key *key = find(model, argv[1]);
    if (key == NULL) {
        say(model, "$-1");
        return;
    }
    if (!time_of_words(model, "getex", &words, &expire_at_ms))
        return;
    say_value(model, key);
    if (words.kind[0] != '\0' || (words.persist && key->expire_at_ms != 0))
        put(model, argv[1], buf_slice(&key->value), expire_at_ms);
}

static void run_setnx(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    (void)argc;
    bool is_there = find(model, argv[1]) != NULL;
    say_int(model, !is_there);
    if (!is_there)
        put(model, argv[1], argv[2], 0);
}

static void set_for(struct stringmodel *model, const struct slice *argv, const char *command)
{
    int64_t ms;
    if (!time_at(model, command, argv[2], command[0] == 's', true, &ms))
        return;
    put(model, argv[1], argv[3], (uint64_t)ms);
    say(model, "+OK");
}

static void run_setex(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    (void)argc;
    set_for(model, argv, "setex");
}

static void run_psetex(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    (void)argc;
    set_for(model, argv, "psetex");
}

static void put_pairs(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    for (uint32_t i = 1; i < argc; i += 2)
        put(model, argv[i], argv[i + 1], 0);
}

static void run_mset(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    if (argc % 2 == 0) {
        say(model, "-ERR wrong number of arguments for 'mset' command");
        return;
    }
    put_pairs(model, argv, argc);
    say(model, "+OK");
}

static void run_msetnx(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    bool is_any = false;
    if (argc % 2 == 0) {
        say(model, "-ERR wrong number of arguments for 'msetnx' command");
        return;
    }
    for (uint32_t i = 1; i < argc; i += 2)
        is_any |= find(model, argv[i]) != NULL;
    say_int(model, !is_any);
    if (!is_any)
        put_pairs(model, argv, argc);
}

/* ---- Numbers ---- */

static void change(struct stringmodel *model, struct slice name, wide by)
{
    const struct model_key *key = find(model, name);
    int64_t value = 0;
    char text[32];
    if (key != NULL && !number_at(model, buf_slice(&key->value), &value))
        return;
    by += value;
    if (by > INT64_MAX || by < INT64_MIN) {
        say(model, "-ERR increment or decrement would overflow");
        return;
    }
    snprintf(text, sizeof(text), "%" PRId64, (int64_t)by);
    put(model, name, slice_str(text), key == NULL ? 0 : key->expire_at_ms);
    say_int(model, (int64_t)by);
}

static void run_incr(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    (void)argc;
    change(model, argv[1], 1);
}

static void run_decr(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    (void)argc;
    change(model, argv[1], -1);
}

static void run_incrby(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    int64_t by;
    (void)argc;
    if (number_at(model, argv[2], &by))
        change(model, argv[1], by);
}

static void run_decrby(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    int64_t by;
    (void)argc;
    if (!number_at(model, argv[2], &by))
        return;
    if (by == INT64_MIN)
        say(model, "-ERR decrement would overflow");
    else
        change(model, argv[1], -by);
}

/* Number times UNIT. False if it is none. */
static bool parse_decimal(struct slice text, wide *out)
{
    size_t at = text.len > 0 && text.data[0] == '-';
    bool has_point = false;
    wide unit = UNIT;
    *out = 0;
    if (text.len > KNOWN_DIGITS) /* then it is none, or nobody asks: stringmodel_knows() */
        return false;
    if (at == text.len || !isdigit(text.data[at]))
        return false;
    for (size_t i = at; i < text.len; i++) {
        bool is_point = text.data[i] == '.' && !has_point;
        if (!is_point && !isdigit(text.data[i]))
            return false;
        has_point |= is_point;
        if (is_point)
            continue;
        unit /= has_point ? 10 : 1;
        *out = has_point ? *out + unit * (text.data[i] - '0')
                         : *out * 10 + (wide)UNIT * (text.data[i] - '0');
    }
    *out = at == 1 ? -*out : *out;
    return true;
}

/* 17 digits behind the point, halves rounded up, zeros at the end left out. */
static void print_decimal(wide number, char *to, size_t size)
{
    wide positive = ((number < 0 ? -number : number) + 5) / 10;
    uint64_t whole = (uint64_t)(positive / (UNIT / 10) / MILLION);
    uint64_t millionth = (uint64_t)(positive / (UNIT / 10) % MILLION);
    char digits[48];
    snprintf(digits, sizeof(digits), "%" PRIu64 "%06" PRIu64, whole, millionth);
    const char *first = digits;
    while (first[0] == '0' && first[1] != '\0')
        first++;
    int len = snprintf(to, size, "%s%s.%017" PRIu64, number < 0 && positive > 0 ? "-" : "", first,
                       (uint64_t)(positive % (UNIT / 10)));
    while (to[len - 1] == '0')
        to[--len] = '\0';
    if (to[len - 1] == '.')
        to[--len] = '\0';
}

static void run_incrbyfloat(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    const struct model_key *key = find(model, argv[1]);
    wide value = 0;
    wide by = 0;
    char text[64];
    (void)argc;
    if ((key != NULL && !parse_decimal(buf_slice(&key->value), &value)) ||
        !parse_decimal(argv[2], &by)) {
        say(model, "-ERR value is not a valid float");
        return;
    }
    print_decimal(value + by, text, sizeof(text));
    put(model, argv[1], slice_str(text), key == NULL ? 0 : key->expire_at_ms);
    say_bulk(model, slice_str(text));
}

bool stringmodel_knows(const struct stringmodel *model, const struct slice *argv)
{
    const struct model_key *key = find_in(model, model->db, argv[1]);
    return !slice_is(argv[0], "incrbyfloat") || key == NULL || key->value.len <= KNOWN_DIGITS ||
           !isdigit(key->value.data[key->value.len - 1]);
}

/* ---- Parts ---- */

static void run_strlen(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    const struct model_key *key = find(model, argv[1]);
    (void)argc;
    say_int(model, key == NULL ? 0 : (int64_t)key->value.len);
}

static void run_append(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    const struct model_key *key = find(model, argv[1]);
    struct buf whole = {0};
    (void)argc;
    if (key != NULL)
        buf_append_slice(&whole, buf_slice(&key->value));
    buf_append_slice(&whole, argv[2]);
    put(model, argv[1], buf_slice(&whole), key == NULL ? 0 : key->expire_at_ms);
    say_int(model, (int64_t)whole.len);
    buf_fini(&whole);
}

/* Byte by byte: which of them lie between the two? */
static void run_getrange(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    int64_t start;
    int64_t end;
    (void)argc;
    if (!number_at(model, argv[2], &start) || !number_at(model, argv[3], &end))
        return;
    const struct model_key *key = find(model, argv[1]);
    struct buf part = {0};
    int64_t size = key == NULL ? 0 : (int64_t)key->value.len;
    bool is_crossed = start < 0 && end < 0 && start > end;
    int64_t first = start < 0 ? start + size : start;
    int64_t last = end < 0 ? end + size : end;
    last = last < 0 ? 0 : last;
    for (int64_t i = 0; i < size && !is_crossed; i++) {
        if (i >= first && i <= last)
            buf_append_byte(&part, key->value.data[i]);
    }
    say_bulk(model, buf_slice(&part));
    buf_fini(&part);
}

static void run_setrange(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    int64_t off;
    (void)argc;
    if (!number_at(model, argv[2], &off))
        return;
    if (off < 0) {
        say(model, "-ERR offset is out of range");
        return;
    }
    const struct model_key *key = find(model, argv[1]);
    struct slice old = key == NULL ? SLICE_EMPTY : buf_slice(&key->value);
    if (argv[3].len == 0) {
        say_int(model, (int64_t)old.len);
        return;
    }
    if (off > 536870912 - (int64_t)argv[3].len) {
        say(model, "-ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return;
    }
    struct buf whole = {0};
    buf_append_slice(&whole, old);
    while (whole.len < (size_t)off + argv[3].len)
        buf_append_byte(&whole, 0);
    memcpy(whole.data + off, argv[3].data, argv[3].len);
    put(model, argv[1], buf_slice(&whole), key == NULL ? 0 : key->expire_at_ms);
    say_int(model, (int64_t)whole.len);
    buf_fini(&whole);
}

/* ---- Keys ---- */

static void run_del(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    size_t before = model->count;
    for (uint32_t i = 1; i < argc; i++)
        drop(model, model->db, argv[i]);
    say_int(model, (int64_t)(before - model->count));
}

static void run_exists(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    int64_t count = 0;
    for (uint32_t i = 1; i < argc; i++)
        count += find(model, argv[i]) != NULL;
    say_int(model, count);
}

static void run_type(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    (void)argc;
    say(model, find(model, argv[1]) != NULL ? "+string" : "+none");
}

static void rename_to(struct stringmodel *model, const struct slice *argv, bool must_be_new)
{
    const struct model_key *key = find(model, argv[1]);
    if (key == NULL) {
        say(model, "-ERR no such key");
        return;
    }
    bool is_done = !must_be_new || find(model, argv[2]) == NULL;
    if (must_be_new)
        say_int(model, is_done);
    else
        say(model, "+OK");
    if (!is_done || slice_eq(argv[1], argv[2]))
        return;
    put(model, argv[2], buf_slice(&key->value), key->expire_at_ms);
    drop(model, model->db, argv[1]);
}

static void run_rename(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    (void)argc;
    rename_to(model, argv, false);
}

static void run_renamenx(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    (void)argc;
    rename_to(model, argv, true);
}

static void run_copy(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    int64_t db = model->db;
    bool is_replacing = false;
    for (uint32_t i = 3; i < argc; i++) {
        char word[16];
        lower(argv[i], word, sizeof(word));
        if (strcmp(word, "replace") == 0) {
            is_replacing = true;
        } else if (strcmp(word, "db") == 0 && i + 1 < argc) {
            if (!number_at(model, argv[++i], &db))
                return;
            if (db < 0 || db >= model->database_count) {
                say(model, "-ERR DB index is out of range");
                return;
            }
        } else {
            say(model, "-ERR syntax error");
            return;
        }
    }
    if (db == model->db && slice_eq(argv[1], argv[2])) {
        say(model, "-ERR source and destination objects are the same");
        return;
    }
    const struct model_key *key = find(model, argv[1]);
    bool is_done = key != NULL && (is_replacing || find_in(model, (uint16_t)db, argv[2]) == NULL);
    say_int(model, is_done);
    if (is_done)
        put_in(model, (uint16_t)db, argv[2], buf_slice(&key->value), key->expire_at_ms);
}

static void flush(struct stringmodel *model, const struct slice *argv, uint32_t argc, bool is_all)
{
    char word[16] = "sync";
    if (argc > 1)
        lower(argv[1], word, sizeof(word));
    if (argc > 2 || (strcmp(word, "sync") != 0 && strcmp(word, "async") != 0)) {
        say(model, "-ERR syntax error");
        return;
    }
    for (size_t i = model->count; i-- > 0;) {
        if (is_all || model->keys[i].db == model->db)
            forget(model, i);
    }
    say(model, "+OK");
}

static void run_flushdb(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    flush(model, argv, argc, false);
}

static void run_flushall(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    flush(model, argv, argc, true);
}

/* ---- Lifetimes ---- */

static bool read_conditions(struct stringmodel *model, const struct slice *argv, uint32_t argc,
                            bool *nx, bool *xx, bool *gt, bool *lt)
{
    for (uint32_t i = 3; i < argc; i++) {
        char word[16];
        lower(argv[i], word, sizeof(word));
        bool *flag = strcmp(word, "nx") == 0   ? nx
                     : strcmp(word, "xx") == 0 ? xx
                     : strcmp(word, "gt") == 0 ? gt
                     : strcmp(word, "lt") == 0 ? lt
                                               : NULL;
        if (flag == NULL) {
            buf_append_format(&model->out, "-ERR Unsupported option %.*s\r\n", SLICE_FMT(argv[i]));
            return false;
        }
        *flag = true;
    }
    if (*nx && (*xx || *gt || *lt)) {
        say(model, "-ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (*gt && *lt) {
        say(model, "-ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

static void run_expires(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    bool nx = false;
    bool xx = false;
    bool gt = false;
    bool lt = false;
    int64_t ms;
    char command[16];
    lower(argv[0], command, sizeof(command));
    bool is_at = strstr(command, "at") != NULL;
    if (!read_conditions(model, argv, argc, &nx, &xx, &gt, &lt) ||
        !time_at(model, command, argv[2], command[0] == 'e', !is_at, &ms))
        return;
    const struct model_key *key = find(model, argv[1]);
    int64_t old = key == NULL || key->expire_at_ms == 0 ? INT64_MAX : (int64_t)key->expire_at_ms;
    bool has_old = key != NULL && key->expire_at_ms != 0;
    bool is_done = key != NULL && !(nx && has_old) && !(xx && !has_old) &&
                   !(gt && (!has_old || ms <= old)) && !(lt && has_old && ms >= old);
    say_int(model, is_done);
    if (is_done && ms <= (int64_t)model->now_ms)
        drop(model, model->db, argv[1]);
    else if (is_done)
        put(model, argv[1], buf_slice(&key->value), (uint64_t)ms);
}

static void run_persist(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    const struct model_key *key = find(model, argv[1]);
    bool is_done = key != NULL && key->expire_at_ms != 0;
    (void)argc;
    say_int(model, is_done);
    if (is_done)
        put(model, argv[1], buf_slice(&key->value), 0);
}

static void run_ttls(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    const struct model_key *key = find(model, argv[1]);
    char command[16];
    lower(argv[0], command, sizeof(command));
    (void)argc;
    if (key == NULL || key->expire_at_ms == 0) {
        say_int(model, key == NULL ? -2 : -1);
        return;
    }
    bool is_ms = command[0] == 'p';
    bool is_at = strstr(command, "time") != NULL;
    uint64_t ms = is_at ? key->expire_at_ms : key->expire_at_ms - model->now_ms;
    say_int(model, (int64_t)(is_ms ? ms : (ms + 500) / 1000));
}

/* ---- All ---- */

static const struct {
    const char *name;
    void (*run)(struct stringmodel *model, const struct slice *argv, uint32_t argc);
} commands[] = {
    {"get", run_get},           {"mget", run_mget},
    {"getdel", run_getdel},     {"getset", run_getset},
    {"getex", run_getex},       {"set", run_set},
    {"setnx", run_setnx},       {"setex", run_setex},
    {"psetex", run_psetex},     {"mset", run_mset},
    {"msetnx", run_msetnx},     {"incr", run_incr},
    {"decr", run_decr},         {"incrby", run_incrby},
    {"decrby", run_decrby},     {"incrbyfloat", run_incrbyfloat},
    {"strlen", run_strlen},     {"append", run_append},
    {"getrange", run_getrange}, {"setrange", run_setrange},
    {"del", run_del},           {"unlink", run_del},
    {"exists", run_exists},     {"touch", run_exists},
    {"type", run_type},         {"rename", run_rename},
    {"renamenx", run_renamenx}, {"copy", run_copy},
    {"flushdb", run_flushdb},   {"flushall", run_flushall},
    {"expire", run_expires},    {"pexpire", run_expires},
    {"expireat", run_expires},  {"pexpireat", run_expires},
    {"persist", run_persist},   {"ttl", run_ttls},
    {"pttl", run_ttls},         {"expiretime", run_ttls},
    {"pexpiretime", run_ttls},
};

bool stringmodel_run(struct stringmodel *model, const struct slice *argv, uint32_t argc)
{
    stringmodel_expire(model);
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (slice_is(argv[0], commands[i].name)) {
            commands[i].run(model, argv, argc);
            return true;
        }
    }
    return false;
}
