/* SPDX-License-Identifier: Apache-2.0 */
#include "support/simscript.h"

#include <stdio.h>

#include "base/mem.h"

#define LEASE_KEYS 4

void simscript_init(struct simscript *script, uint64_t seed)
{
    *script = (struct simscript){
        .random = {.state = seed},
        .key_count = 48,
        .counter_count = 8,
        .large_value = 9000,
        .burst = 9,
        .time_ms = 700,
        .checkpoint = 40,
    };
}

void simscript_fini(struct simscript *script)
{
    buf_fini(&script->text);
}

/* ---- Words ---- */

static uint64_t below(struct simscript *script, uint64_t limit)
{
    return random_below(&script->random, limit);
}

static void add_key(struct simscript *script)
{
    uint64_t nth = below(script, script->key_count);
    /* Some share a slot, and so a shard. */
    buf_append_format(&script->text, nth % 4 == 0 ? " {tag}k%u" : " k%u", (unsigned)nth);
}

static void add_counter(struct simscript *script)
{
    buf_append_format(&script->text, " n%u", (unsigned)below(script, script->counter_count));
}

static void add_value(struct simscript *script)
{
    uint64_t kind = below(script, 10);
    size_t limit = kind < 6 ? 40 : kind < 9 ? 700 : script->large_value;
    size_t len = 1 + (size_t)below(script, limit);
    uint64_t word = random_next(&script->random);
    buf_append_byte(&script->text, ' ');
    uint8_t *at = buf_extend(&script->text, len);
    for (size_t i = 0; i < len; i++) {
        at[i] = (uint8_t)('a' + (word >> (i % 59) & 15));
        if (i % 59 == 58)
            word = word * 0x9e3779b97f4a7c15u + 1;
    }
}

static void add_time(struct simscript *script, uint64_t base_ms)
{
    /* Half of them short enough to fall due while the script runs. */
    uint64_t ms = 1 + below(script, below(script, 2) == 0 ? 3000 : 100000000);
    buf_append_format(&script->text, " %llu", (unsigned long long)(base_ms + ms));
}

/* ---- Commands ---- */

static void add_set(struct simscript *script, uint64_t now_ms)
{
    uint64_t kind = below(script, 8);
    buf_append_str(&script->text, "SET");
    add_key(script);
    add_value(script);
    if (kind == 0)
        buf_append_str(&script->text, " KEEPTTL");
    else if (kind < 3 && script->has_absolute) {
        buf_append_str(&script->text, " PXAT");
        add_time(script, now_ms);
    } else if (kind < 3) {
        buf_append_str(&script->text, " PX");
        add_time(script, 0);
    }
}

static void add_expire(struct simscript *script, uint64_t now_ms)
{
    buf_append_str(&script->text, script->has_absolute ? "PEXPIREAT" : "PEXPIRE");
    add_key(script);
    add_time(script, script->has_absolute ? now_ms : 0);
}

static void add_counting(struct simscript *script, uint64_t now_ms)
{
    (void)now_ms;
    if (below(script, 3) == 0) {
        buf_append_str(&script->text, "INCRBY");
        add_counter(script);
        buf_append_format(&script->text, " %d", (int)below(script, 1000) - 500);
        return;
    }
    buf_append_str(&script->text, "INCR");
    if (below(script, 16) == 0)
        add_key(script); /* may well be no number */
    else
        add_counter(script);
}

static void add_append(struct simscript *script, uint64_t now_ms)
{
    (void)now_ms;
    buf_append_str(&script->text, "APPEND");
    add_key(script);
    buf_append_format(&script->text, " +%u", (unsigned)below(script, 1000000));
}

static void add_mset(struct simscript *script, uint64_t now_ms)
{
    (void)now_ms;
    uint64_t count = 2 + below(script, 5);
    buf_append_str(&script->text, "MSET");
    for (uint64_t i = 0; i < count; i++) {
        add_key(script);
        buf_append_format(&script->text, " m%u", (unsigned)below(script, 1000000));
    }
}

static void add_del(struct simscript *script, uint64_t now_ms)
{
    (void)now_ms;
    uint64_t count = 1 + below(script, 3);
    buf_append_str(&script->text, "DEL");
    for (uint64_t i = 0; i < count; i++)
        add_key(script);
}

static void add_rename(struct simscript *script, uint64_t now_ms)
{
    (void)now_ms;
    buf_append_str(&script->text, "RENAME");
    add_key(script);
    add_key(script);
}

static void add_copy(struct simscript *script, uint64_t now_ms)
{
    (void)now_ms;
    buf_append_str(&script->text, "COPY");
    add_counter(script);
    add_key(script);
    buf_append_str(&script->text, " REPLACE");
}

static void add_persist(struct simscript *script, uint64_t now_ms)
{
    (void)now_ms;
    buf_append_str(&script->text, "PERSIST");
    add_key(script);
}

static void add_getdel(struct simscript *script, uint64_t now_ms)
{
    (void)now_ms;
    buf_append_str(&script->text, "GETDEL");
    add_key(script);
}

/* Few keys that are always about to fall due, and what may still save them. */
static void add_lease(struct simscript *script, uint64_t now_ms)
{
    uint64_t kind = below(script, 7);
    unsigned key = (unsigned)below(script, LEASE_KEYS);
    const char *at = script->has_absolute ? "AT" : "";
    unsigned long long ms = (script->has_absolute ? now_ms : 0) + 1 + below(script, 900);
    if (kind < 2)
        buf_append_format(&script->text, "SET t%u leased PX%s %llu", key, at, ms);
    else if (kind == 2)
        buf_append_format(&script->text, "PEXPIRE%s t%u %llu", at, key, ms);
    else if (kind < 5)
        buf_append_format(&script->text, "PERSIST t%u", key);
    else if (kind == 5)
        buf_append_format(&script->text, "APPEND t%u +", key);
    else
        buf_append_format(&script->text, "RENAME t%u t0", key);
}

static void add_flush(struct simscript *script, uint64_t now_ms)
{
    (void)now_ms;
    buf_append_str(&script->text, below(script, 3) == 0 ? "FLUSHALL" : "FLUSHDB");
}

/* To where it may be already, or to itself. */
static void add_move(struct simscript *script)
{
    buf_append_str(&script->text, "MOVE");
    add_key(script);
    buf_append_str(&script->text, below(script, 2) == 0 ? " 0" : " 3");
}

static const struct {
    unsigned share; /* of a hundred */
    void (*add)(struct simscript *script, uint64_t now_ms);
} kinds[] = {
    {18, add_set},   {18, add_lease},  {14, add_counting}, {14, add_append},
    {9, add_mset},   {7, add_del},     {6, add_rename},    {3, add_copy},
    {5, add_expire}, {3, add_persist}, {2, add_getdel},
};

static void add_command(struct simscript *script, uint64_t now_ms)
{
    uint64_t roll = below(script, 100);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (roll < kinds[i].share) {
            kinds[i].add(script, now_ms);
            return;
        }
        roll -= kinds[i].share;
    }
    /* One in a hundred comes here, and of those one in four empties a database. */
    uint64_t kind = below(script, 4);
    if (kind == 0)
        add_flush(script, now_ms);
    else if (kind == 1)
        buf_append_str(&script->text, "SWAPDB 0 3");
    else if (kind == 2)
        add_move(script);
    else
        add_set(script, now_ms);
}

const char *simscript_write(struct simscript *script, uint64_t now_ms)
{
    script->text.len = 0;
    if (below(script, 5) == 0)
        buf_append_str(&script->text, "@3 ");
    uint64_t count = below(script, 10) == 0 ? 2 + below(script, 4) : 1;
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_str(&script->text, "; ");
        add_command(script, now_ms);
    }
    buf_append_byte(&script->text, 0);
    return (const char *)script->text.data;
}

/* ---- Sending ---- */

/* Entries that are being written grow old: what falls due meanwhile is not due for them. */
static void pass_in_flight(struct simscript *script, struct simnode *node)
{
    for (uint64_t i = below(script, 4); i > 0; i--)
        simnode_turn(node);
    if (script->time_ms != 0)
        simnode_try_pass(node, below(script, script->time_ms));
    if (script->checkpoint == 0)
        return;
    uint64_t kind = below(script, 16);
    if (kind < 4)
        simnode_ask_checkpoint(node);
    else if (kind == 4)
        simnode_ask_reload(node);
}

static void turn_a_little(struct simscript *script, struct simnode *node)
{
    uint64_t kind = below(script, 8);
    if (kind < 3) {
        simnode_dry(node);
    } else {
        for (uint64_t i = 0; i < kind; i++)
            simnode_turn(node);
    }
}

/* Completions come out of order and late. */
static void release_slowly(struct simscript *script, struct simnode *node)
{
    simnode_turn(node);
    for (uint64_t i = below(script, 4); i > 0; i--) {
        simdisk_release(node->disk);
        simnode_turn(node);
    }
}

void simscript_run(struct simscript *script, struct simnode *node, unsigned count)
{
    while (count > 0 && node->fatal_count == 0) {
        uint64_t burst = 1 + below(script, script->burst);
        bool is_held = below(script, 3) == 0;
        node->job_delay = (unsigned)below(script, 3) * 4;
        simdisk_hold(node->disk, is_held);
        for (; burst > 0 && count > 0; burst--, count--) {
            simnode_send(node, 0, simscript_write(script, simnode_now_ms(node)));
            if (below(script, 3) == 0)
                release_slowly(script, node);
        }
        if (script->checkpoint != 0 && below(script, script->checkpoint) == 0)
            simnode_ask_checkpoint(node);
        if (is_held && below(script, 2) == 0)
            pass_in_flight(script, node);
        if (is_held)
            release_slowly(script, node);
        simdisk_hold(node->disk, false);
        turn_a_little(script, node);
        if (script->time_ms != 0 && below(script, 4) == 0)
            simnode_advance(node, below(script, script->time_ms));
    }
}
