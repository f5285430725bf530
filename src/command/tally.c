/* SPDX-License-Identifier: Apache-2.0 */
#include "command/tally.h"

#include <ctype.h>

#include "base/assert.h"
#include "base/mem.h"
#include "command/catalogue.h"

#define OCTAVE_FIRST 10 /* shorter than 2^10 ns is one bucket */
#define STEPS        8  /* buckets an octave */

struct tally_row {
    _Atomic uint64_t calls;
    _Atomic uint64_t ns;
    _Atomic uint64_t rejected;
    _Atomic uint64_t failed;
    _Atomic(_Atomic uint64_t *) buckets; /* made with the first call */
};

struct tally_error {
    char name[32];
    _Atomic uint64_t count;
};

/* Calls of one row one behind the other. */
struct stretch_run {
    uint32_t number;
    uint32_t count;
};

struct inner {
    const struct command_row *row;
    uint64_t us;
    bool has_failed;
};

struct tally {
    const struct command_table *table;
    struct clock *clock;
    const struct tally_settings *settings;
    size_t row_count; /* the row behind the last is nobody's */
    struct tally_row *rows;
    uint64_t read_us; /* when the clock was read last */
    uint32_t stretch_count;
    struct stretch_run *last_run;
    struct stretch_run runs[TALLY_STRETCH + 1]; /* the first is no command's */
    struct slow_command *slow;
    struct slow_command **slow_end;
    uint64_t inner_since_us;
    struct inner *inner;
    size_t inner_count;
    size_t inner_cap;
    struct slow_command *inner_slow;
    struct slow_command **inner_slow_end;
    struct buf inner_errors; /* replies, one behind the other, each ended by a line feed */
    struct tally_error errors[TALLY_ERRORS];
    _Atomic uint32_t error_count;
    _Atomic uint64_t error_total;
    _Atomic uint64_t found;
    _Atomic uint64_t missed;
};

static inline uint64_t look(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* Only this thread writes. */
static inline void add(_Atomic uint64_t *word, uint64_t by)
{
    atomic_store_explicit(word, look(word) + by, memory_order_relaxed);
}

/* ---- Life ---- */

struct tally *tally_new(const struct command_table *table, struct clock *clock,
                        const struct tally_settings *settings)
{
    struct tally *tally = mem_calloc(1, sizeof(*tally));
    tally->table = table;
    tally->clock = clock;
    tally->settings = settings;
    tally->row_count = command_numbers(table);
    tally->rows = mem_calloc(tally->row_count + 1, sizeof(*tally->rows));
    tally->runs[0].number = UINT32_MAX;
    tally->last_run = tally->runs;
    tally->slow_end = &tally->slow;
    tally->inner_slow_end = &tally->inner_slow;
    return tally;
}

void slow_command_free(struct slow_command *slow)
{
    buf_fini(&slow->argv);
    mem_free(slow);
}

static void free_slow(struct slow_command *slow)
{
    while (slow != NULL) {
        struct slow_command *next = slow->next;
        slow_command_free(slow);
        slow = next;
    }
}

void tally_free(struct tally *tally)
{
    if (tally == NULL)
        return;
    for (size_t i = 0; i <= tally->row_count; i++)
        mem_free(atomic_load_explicit(&tally->rows[i].buckets, memory_order_relaxed));
    free_slow(tally->slow);
    free_slow(tally->inner_slow);
    buf_fini(&tally->inner_errors);
    mem_free(tally->inner);
    mem_free(tally->rows);
    mem_free(tally);
}

/* ---- Time ---- */

static size_t bucket_of(uint64_t ns)
{
    if (ns < (UINT64_C(1) << OCTAVE_FIRST))
        return 0;
    unsigned octave = 63u - (unsigned)__builtin_clzll(ns);
    size_t step = (ns >> (octave - 3)) & (STEPS - 1);
    size_t bucket = 1 + (octave - OCTAVE_FIRST) * STEPS + step;
    return bucket < TALLY_BUCKETS ? bucket : TALLY_BUCKETS - 1;
}

uint64_t tally_bucket_end_ns(size_t bucket)
{
    if (bucket == 0)
        return UINT64_C(1) << OCTAVE_FIRST;
    size_t octave = OCTAVE_FIRST + (bucket - 1) / STEPS;
    size_t step = (bucket - 1) % STEPS + 1;
    return (UINT64_C(1) << octave) + ((uint64_t)step << (octave - 3));
}

static _Atomic uint64_t *buckets_of(struct tally_row *row)
{
    _Atomic uint64_t *buckets = atomic_load_explicit(&row->buckets, memory_order_relaxed);
    if (LIKELY(buckets != NULL))
        return buckets;
    buckets = mem_calloc(TALLY_BUCKETS, sizeof(*buckets));
    atomic_store_explicit(&row->buckets, buckets, memory_order_release);
    return buckets;
}

static void count_calls(struct tally *tally, uint32_t number, uint64_t count, uint64_t ns_each)
{
    struct tally_row *row = &tally->rows[number];
    add(&row->calls, count);
    add(&row->ns, count * ns_each);
    if (!atomic_load_explicit(&tally->settings->is_without_buckets, memory_order_relaxed))
        add(&buckets_of(row)[bucket_of(ns_each)], count);
}

void tally_start(struct tally *tally)
{
    /* Within a stretch it has been read: a turn's work may begin anew from inside. */
    if (tally->stretch_count == 0)
        tally->read_us = clock_mono_us(tally->clock);
}

void tally_split(struct tally *tally)
{
    uint64_t now_us = clock_mono_us(tally->clock);
    uint64_t us = now_us - tally->read_us;
    tally->read_us = now_us;
    if (tally->stretch_count == 0)
        return;
    uint64_t ns_each = us * 1000 / tally->stretch_count;
    for (const struct stretch_run *run = &tally->runs[1]; run <= tally->last_run; run++) {
        if (run->number < tally->row_count)
            count_calls(tally, run->number, run->count, ns_each);
    }
    tally->last_run = tally->runs;
    tally->stretch_count = 0;
}

static inline void note(struct tally *tally, uint32_t number)
{
    struct stretch_run *last = tally->last_run;
    tally->stretch_count++;
    if (LIKELY(last->number == number)) {
        last->count++;
        return;
    }
    *++tally->last_run = (struct stretch_run){.number = number, .count = 1};
}

static uint64_t slow_limit(const struct tally *tally)
{
    return atomic_load_explicit(&tally->settings->slow_us, memory_order_relaxed);
}

/* A write that looks no value up is as quick as what the protocol calls fast. */
static bool is_quick(const struct command_row *row, size_t size)
{
    bool is_by_nature =
        (row->flags & CMD_FAST) != 0 || (row->flags & (CMD_WRITE | CMD_LOADS_VALUE)) == CMD_WRITE;
    return is_by_nature && row->scope != SCOPE_ALL && size <= TALLY_CHEAP;
}

void tally_before(struct tally *tally, const struct command_row *row, size_t size)
{
    if (tally->stretch_count > 0 && !is_quick(row, size))
        tally_split(tally);
}

static struct slow_command *slow_new(const struct tally_call *call, uint64_t us)
{
    struct slow_command *slow = mem_calloc(1, sizeof(*slow));
    slow->row = call->row;
    slow->us = us;
    slow_put_argv(&slow->argv, call->row, call->argv, call->argc);
    return slow;
}

void tally_after(struct tally *tally, const struct tally_call *call)
{
    uint32_t number = command_number(tally->table, call->row);
    note(tally, number);
    if (UNLIKELY(call->reply.len > 0 && call->reply.data[0] == '-'))
        add(&tally->rows[number].failed, 1);
    uint64_t limit_us = slow_limit(tally);
    if (LIKELY(is_quick(call->row, call->size) && limit_us >= TALLY_EXACT_US)) {
        if (tally->stretch_count == TALLY_STRETCH)
            tally_split(tally);
        return;
    }
    uint64_t before_us = tally->read_us;
    tally_split(tally);
    uint64_t us = tally->read_us - before_us;
    /* Of several that share this time, only this one is not quick. */
    if (us < limit_us || (call->row->flags & CMD_INTERNAL) != 0)
        return;
    *tally->slow_end = slow_new(call, us);
    tally->slow_end = &(*tally->slow_end)->next;
}

void tally_other(struct tally *tally)
{
    note(tally, (uint32_t)tally->row_count);
    if (tally->stretch_count == TALLY_STRETCH || slow_limit(tally) < TALLY_EXACT_US)
        tally_split(tally);
}

/* ---- Within transactions ---- */

void tally_start_inner(struct tally *tally)
{
    tally_drop_inner(tally);
    tally_split(tally);
    tally->inner_since_us = tally->read_us;
}

void tally_after_inner(struct tally *tally, const struct tally_call *call)
{
    if (tally->inner_count == tally->inner_cap) {
        tally->inner_cap = tally->inner_cap == 0 ? 16 : tally->inner_cap * 2;
        tally->inner = mem_realloc(tally->inner, tally->inner_cap * sizeof(*tally->inner));
    }
    uint64_t before_us = tally->read_us;
    tally->read_us = clock_mono_us(tally->clock);
    uint64_t us = tally->read_us - before_us;
    bool has_failed = call->reply.len > 0 && call->reply.data[0] == '-';
    if (has_failed) {
        size_t len = call->reply.len < sizeof(tally->errors[0].name)
                         ? call->reply.len
                         : sizeof(tally->errors[0].name);
        buf_append_slice(&tally->inner_errors, slice_sub(call->reply, 0, len));
        buf_append_byte(&tally->inner_errors, '\n');
    }
    tally->inner[tally->inner_count++] =
        (struct inner){.row = call->row, .us = us, .has_failed = has_failed};
    if (us >= slow_limit(tally)) {
        *tally->inner_slow_end = slow_new(call, us);
        tally->inner_slow_end = &(*tally->inner_slow_end)->next;
    }
}

void tally_keep_inner(struct tally *tally)
{
    if (tally->inner_count == 0)
        return;
    /* What runs them has taken as long as they all. */
    tally->read_us = tally->inner_since_us;
    for (size_t i = 0; i < tally->inner_count; i++) {
        uint32_t number = command_number(tally->table, tally->inner[i].row);
        count_calls(tally, number, 1, tally->inner[i].us * 1000);
        add(&tally->rows[number].failed, tally->inner[i].has_failed);
    }
    struct slice rest = buf_slice(&tally->inner_errors);
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.len);
        size_t len = (size_t)(end - rest.data);
        if (len > 0 && rest.data[0] == '-')
            tally_error(tally, slice_sub(rest, 0, len));
        rest = slice_sub(rest, len + 1, SIZE_MAX);
    }
    if (tally->inner_slow != NULL) {
        *tally->slow_end = tally->inner_slow;
        tally->slow_end = tally->inner_slow_end;
        tally->inner_slow = NULL;
        tally->inner_slow_end = &tally->inner_slow;
    }
    tally_drop_inner(tally);
}

void tally_drop_inner(struct tally *tally)
{
    tally->inner_count = 0;
    buf_reset(&tally->inner_errors, 4096);
    free_slow(tally->inner_slow);
    tally->inner_slow = NULL;
    tally->inner_slow_end = &tally->inner_slow;
}

struct slow_command *tally_take_slow(struct tally *tally)
{
    struct slow_command *first = tally->slow;
    tally->slow = NULL;
    tally->slow_end = &tally->slow;
    return first;
}

/* ---- Errors and lookups ---- */

void tally_reject(struct tally *tally, const struct command_row *row)
{
    add(&tally->rows[command_number(tally->table, row)].rejected, 1);
}

/* The word in front, as it can stand in a line of INFO; "ERR" for what has none. */
static void name_error(struct slice reply, char *to, size_t size)
{
    size_t len = 0;
    while (len + 1 < reply.len && len < size - 1 && reply.data[len + 1] > ' ')
        len++;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = reply.data[i + 1];
        to[i] = (char)(isalnum(c) || c == '_' || c == '-' ? c : '_');
    }
    to[len] = '\0';
}

void tally_error(struct tally *tally, struct slice reply)
{
    char name[sizeof(tally->errors[0].name)];
    add(&tally->error_total, 1);
    name_error(reply, name, sizeof(name));
    uint32_t count = atomic_load_explicit(&tally->error_count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(tally->errors[i].name, name) == 0) {
            add(&tally->errors[i].count, 1);
            return;
        }
    }
    if (count == TALLY_ERRORS)
        return;
    memcpy(tally->errors[count].name, name, sizeof(name));
    atomic_store_explicit(&tally->errors[count].count, 1, memory_order_relaxed);
    atomic_store_explicit(&tally->error_count, count + 1, memory_order_release);
}

void tally_lookups(struct tally *tally, uint64_t found, uint64_t missed)
{
    if (found > 0)
        add(&tally->found, found);
    if (missed > 0)
        add(&tally->missed, missed);
}

/* ---- Sums ---- */

void tally_sum_init(struct tally_sum *sum, const struct command_table *table)
{
    *sum = (struct tally_sum){.row_count = command_numbers(table)};
    sum->rows = mem_calloc(sum->row_count, sizeof(*sum->rows));
}

void tally_sum_fini(struct tally_sum *sum)
{
    for (size_t i = 0; i < sum->row_count; i++)
        mem_free(sum->rows[i].buckets);
    mem_free(sum->rows);
    *sum = (struct tally_sum){0};
}

static struct tally_sum_error *sum_error(struct tally_sum *sum, const char *name)
{
    for (size_t i = 0; i < sum->error_count; i++) {
        if (strcmp(sum->errors[i].name, name) == 0)
            return &sum->errors[i];
    }
    if (sum->error_count == TALLY_ERRORS)
        return NULL;
    struct tally_sum_error *error = &sum->errors[sum->error_count++];
    memcpy(error->name, name, sizeof(error->name));
    return error;
}

void tally_add_to(const struct tally *tally, struct tally_sum *sum)
{
    for (size_t i = 0; i < tally->row_count; i++) {
        const struct tally_row *row = &tally->rows[i];
        struct tally_sum_row *to = &sum->rows[i];
        to->calls += look(&row->calls);
        to->ns += look(&row->ns);
        to->rejected += look(&row->rejected);
        to->failed += look(&row->failed);
        const _Atomic uint64_t *buckets = atomic_load_explicit(&row->buckets, memory_order_acquire);
        if (buckets == NULL)
            continue;
        if (to->buckets == NULL)
            to->buckets = mem_calloc(TALLY_BUCKETS, sizeof(*to->buckets));
        for (size_t j = 0; j < TALLY_BUCKETS; j++)
            to->buckets[j] += look(&buckets[j]);
    }
    uint32_t count = atomic_load_explicit(&tally->error_count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++) {
        struct tally_sum_error *to = sum_error(sum, tally->errors[i].name);
        if (to != NULL)
            to->count += look(&tally->errors[i].count);
    }
    sum->error_total += look(&tally->error_total);
    sum->found += look(&tally->found);
    sum->missed += look(&tally->missed);
}

static void take_off(uint64_t *value, uint64_t base)
{
    *value = *value > base ? *value - base : 0;
}

void tally_sum_take_off(struct tally_sum *sum, const struct tally_sum *base)
{
    for (size_t i = 0; i < base->row_count; i++) {
        struct tally_sum_row *row = &sum->rows[i];
        const struct tally_sum_row *less = &base->rows[i];
        take_off(&row->calls, less->calls);
        take_off(&row->ns, less->ns);
        take_off(&row->rejected, less->rejected);
        take_off(&row->failed, less->failed);
        for (size_t j = 0; less->buckets != NULL && j < TALLY_BUCKETS; j++)
            take_off(&row->buckets[j], less->buckets[j]);
    }
    for (size_t i = 0; i < base->error_count; i++) {
        struct tally_sum_error *error = sum_error(sum, base->errors[i].name);
        if (error != NULL)
            take_off(&error->count, base->errors[i].count);
    }
    take_off(&sum->error_total, base->error_total);
    take_off(&sum->found, base->found);
    take_off(&sum->missed, base->missed);
}

uint64_t tally_timed(const struct tally_sum_row *row)
{
    uint64_t total = 0;
    for (size_t i = 0; row->buckets != NULL && i < TALLY_BUCKETS; i++)
        total += row->buckets[i];
    return total;
}

uint64_t tally_percentile(const struct tally_sum_row *row, double percent)
{
    uint64_t seen = 0;
    double wanted = (double)tally_timed(row) * percent / 100;
    for (size_t i = 0; row->buckets != NULL && i < TALLY_BUCKETS; i++) {
        seen += row->buckets[i];
        if (seen > 0 && (double)seen >= wanted)
            return tally_bucket_end_ns(i);
    }
    return 0;
}
