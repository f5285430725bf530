/* SPDX-License-Identifier: Apache-2.0 */
#include "support/simhistory.h"

#include "base/assert.h"
#include "base/mem.h"
#include "support/cmocka.h"

#define STATE_EVERY 32 /* one state in so many is kept */

struct past_write {
    char *text;
    uint64_t time_ms;
    enum simanswer answer;
    struct buf reply;
};

struct simhistory {
    struct past_write *writes;
    size_t count;
    size_t cap;
    uint64_t acknowledged;
    uint64_t settled;
    struct simmodel **states; /* states[i] is state i * STATE_EVERY; made when first asked for */
    size_t state_count;
    size_t state_cap;
};

struct simhistory *simhistory_new(const struct simmodel *base)
{
    struct simhistory *history = mem_calloc(1, sizeof(*history));
    history->state_cap = 16;
    history->states = mem_calloc(history->state_cap, sizeof(struct simmodel *));
    history->states[0] = base == NULL ? simmodel_new() : simmodel_copy(base);
    history->state_count = 1;
    return history;
}

void simhistory_free(struct simhistory *history)
{
    if (history == NULL)
        return;
    for (size_t i = 0; i < history->count; i++) {
        mem_free(history->writes[i].text);
        buf_fini(&history->writes[i].reply);
    }
    for (size_t i = 0; i < history->state_count; i++)
        simmodel_free(history->states[i]);
    mem_free(history->writes);
    mem_free(history->states);
    mem_free(history);
}

uint64_t simhistory_add(struct simhistory *history, const char *text, uint64_t time_ms)
{
    if (history->count == history->cap) {
        history->cap = history->cap == 0 ? 64 : history->cap * 2;
        history->writes = mem_realloc(history->writes, history->cap * sizeof(*history->writes));
    }
    history->writes[history->count++] =
        (struct past_write){.text = mem_dup_str(text), .time_ms = time_ms};
    return history->count;
}

uint64_t simhistory_count(const struct simhistory *history)
{
    return history->count;
}

static bool begins_with(struct slice reply, const char *text)
{
    size_t len = strlen(text);
    return reply.len >= len && memcmp(reply.data, text, len) == 0;
}

enum simanswer simhistory_kind(struct slice reply)
{
    static const char *const made_by_commands[] = {
        "-ERR no such key",
        "-ERR value is not an integer or out of range",
        "-ERR source and destination objects are the same",
    };
    if (reply.len > 0 && reply.data[0] != '-')
        return SIM_DONE;
    if (begins_with(reply, "-UNKNOWN "))
        return SIM_UNKNOWN;
    for (size_t i = 0; i < sizeof(made_by_commands) / sizeof(made_by_commands[0]); i++) {
        if (begins_with(reply, made_by_commands[i]))
            return SIM_DONE;
    }
    return SIM_REFUSED;
}

/* States that were made before it was known that one of their writes had been refused. */
static void forget_states(struct simhistory *history, uint64_t number)
{
    while (history->state_count > 1 && (history->state_count - 1) * STATE_EVERY >= number)
        simmodel_free(history->states[--history->state_count]);
}

void simhistory_answer(struct simhistory *history, uint64_t number, struct slice reply)
{
    ASSERT(number >= 1 && number <= history->count);
    struct past_write *write = &history->writes[number - 1];
    ASSERT(write->answer == SIM_NO_ANSWER);
    write->answer = simhistory_kind(reply);
    buf_append_slice(&write->reply, reply);
    if (write->answer == SIM_DONE && number > history->acknowledged)
        history->acknowledged = number;
    if (write->answer == SIM_REFUSED)
        forget_states(history, number);
    while (history->settled < history->count &&
           history->writes[history->settled].answer != SIM_NO_ANSWER)
        history->settled++;
}

enum simanswer simhistory_answer_of(const struct simhistory *history, uint64_t number)
{
    ASSERT(number >= 1 && number <= history->count);
    return history->writes[number - 1].answer;
}

uint64_t simhistory_acknowledged(const struct simhistory *history)
{
    return history->acknowledged;
}

uint64_t simhistory_settled(const struct simhistory *history)
{
    return history->settled;
}

/* ---- States ---- */

static void apply(const struct simhistory *history, struct simmodel *model, uint64_t number,
                  struct buf *reply)
{
    const struct past_write *write = &history->writes[number - 1];
    if (write->answer != SIM_REFUSED)
        simmodel_apply(model, write->text, write->time_ms, reply);
}

static void keep_states(struct simhistory *history, size_t count)
{
    while (history->state_count < count) {
        if (history->state_count == history->state_cap) {
            history->state_cap *= 2;
            history->states =
                mem_realloc(history->states, history->state_cap * sizeof(struct simmodel *));
        }
        struct simmodel *next = simmodel_copy(history->states[history->state_count - 1]);
        for (uint64_t i = 1; i <= STATE_EVERY; i++)
            apply(history, next, (history->state_count - 1) * STATE_EVERY + i, NULL);
        history->states[history->state_count++] = next;
    }
}

struct simmodel *simhistory_state(struct simhistory *history, uint64_t n)
{
    ASSERT(n <= history->count);
    size_t nth = (size_t)(n / STATE_EVERY);
    keep_states(history, nth + 1);
    struct simmodel *model = simmodel_copy(history->states[nth]);
    for (uint64_t i = nth * STATE_EVERY + 1; i <= n; i++)
        apply(history, model, i, NULL);
    return model;
}

bool simhistory_find(struct simhistory *history, uint64_t digest, uint64_t now_ms, uint64_t low,
                     uint64_t high, uint64_t *out_n)
{
    ASSERT(low <= high && high <= history->count);
    struct simmodel *model = simhistory_state(history, low);
    uint64_t n = low;
    bool is_found = simmodel_digest(model, now_ms) == digest;
    while (!is_found && n < high) {
        apply(history, model, ++n, NULL);
        is_found = simmodel_digest(model, now_ms) == digest;
    }
    simmodel_free(model);
    if (is_found)
        *out_n = n;
    return is_found;
}

void simhistory_check_replies(struct simhistory *history)
{
    struct simmodel *model = simhistory_state(history, 0);
    for (uint64_t n = 1; n <= history->count; n++) {
        const struct past_write *write = &history->writes[n - 1];
        struct buf expected = {0};
        apply(history, model, n, &expected);
        if (write->answer == SIM_DONE && !slice_eq(buf_slice(&expected), buf_slice(&write->reply)))
            fail_msg("write %llu, %.100s, was answered %.*s instead of %.*s", (unsigned long long)n,
                     write->text, SLICE_FMT(buf_slice(&write->reply)),
                     SLICE_FMT(buf_slice(&expected)));
        buf_fini(&expected);
    }
    simmodel_free(model);
}
