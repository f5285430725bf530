/* SPDX-License-Identifier: Apache-2.0 */
/* The wheel: level 0 has one slot a second, level n one slot per 256^n seconds. The wheel stands at
 * second `now`: everything before it has fired, and of its own slot all but what a budget has left.
 * A hint lies in level 0 if it is due within the current block of 256 seconds, in level 1 if within
 * the current block of 65,536, and so on. When `now` enters a new block of level n, the slot of
 * level n for that block is emptied into the levels below (cascade). Nothing is ever put into the
 * slot of a block that `now` has entered (T9): it would lie there until the level has gone round.
 * Slots are lists of small chunks, so that memory follows the number of hints closely.
 */
#include "store/expiry.h"

#include "base/assert.h"
#include "base/mem.h"

#define LEVEL_COUNT 4
#define SLOT_BITS   8
#define SLOT_COUNT  (1u << SLOT_BITS)
#define CHUNK_HINTS 30 /* with the chunk's header just below 256 bytes */

struct hint {
    uint32_t due_s;
    uint32_t hash;
};

STATIC_ASSERT(sizeof(struct hint) == EXPIRY_HINT_BYTES, "what is said of it");

struct chunk {
    struct chunk *next;
    uint32_t count;
    struct hint hints[CHUNK_HINTS];
};

struct expiry {
    uint32_t now_s;
    size_t count;
    size_t bytes;
    struct chunk *slots[LEVEL_COUNT][SLOT_COUNT];
    size_t level_counts[LEVEL_COUNT];
};

struct expiry *expiry_new(uint64_t now_ms)
{
    struct expiry *expiry = mem_calloc(1, sizeof(*expiry));
    expiry->now_s = (uint32_t)(now_ms / 1000);
    expiry->bytes = sizeof(*expiry);
    return expiry;
}

void expiry_free(struct expiry *expiry)
{
    if (expiry == NULL)
        return;
    for (unsigned level = 0; level < LEVEL_COUNT; level++) {
        for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
            struct chunk *chunk = expiry->slots[level][slot];
            while (chunk != NULL) {
                struct chunk *next = chunk->next;
                mem_free(chunk);
                chunk = next;
            }
        }
    }
    mem_free(expiry);
}

uint32_t expiry_second(uint64_t expire_at_ms)
{
    /* The last second of the range stands for everything later, 2106 and on. */
    uint64_t second = expire_at_ms / 1000 + (expire_at_ms % 1000 != 0);
    return second < UINT32_MAX - 1 ? (uint32_t)second : UINT32_MAX - 1;
}

/* The lowest level whose current block holds `due_s`. */
static unsigned level_of(const struct expiry *expiry, uint32_t due_s)
{
    uint32_t differing = expiry->now_s ^ due_s;
    unsigned level = 0;
    while (level < LEVEL_COUNT - 1 && differing >> (SLOT_BITS * (level + 1)) != 0)
        level++;
    return level;
}

static void put_at_level(struct expiry *expiry, struct hint hint, unsigned level)
{
    ASSERT(level == 0 ||
           hint.due_s >> (SLOT_BITS * level) != expiry->now_s >> (SLOT_BITS * level)); /* T9 */
    unsigned slot = hint.due_s >> (SLOT_BITS * level) & (SLOT_COUNT - 1);
    struct chunk *chunk = expiry->slots[level][slot];
    if (chunk == NULL || chunk->count == CHUNK_HINTS) {
        struct chunk *fresh = mem_alloc(sizeof(*fresh));
        fresh->next = chunk;
        fresh->count = 0;
        expiry->slots[level][slot] = fresh;
        expiry->bytes += sizeof(*fresh);
        chunk = fresh;
    }
    chunk->hints[chunk->count++] = hint;
    expiry->level_counts[level]++;
    expiry->count++;
}

static void put_hint(struct expiry *expiry, struct hint hint)
{
    /* What is due already fires with the next second. */
    if (hint.due_s <= expiry->now_s)
        hint.due_s = expiry->now_s + 1;
    put_at_level(expiry, hint, level_of(expiry, hint.due_s));
}

void expiry_add(struct expiry *expiry, uint64_t expire_at_ms, uint32_t hash)
{
    put_hint(expiry, (struct hint){.due_s = expiry_second(expire_at_ms), .hash = hash});
}

/* Removes the newest hint of a slot. False if the slot is empty. */
static bool pop_hint(struct expiry *expiry, unsigned level, unsigned slot, struct hint *out_hint)
{
    struct chunk *chunk = expiry->slots[level][slot];
    if (chunk == NULL)
        return false;
    *out_hint = chunk->hints[--chunk->count];
    if (chunk->count == 0) {
        expiry->slots[level][slot] = chunk->next;
        expiry->bytes -= sizeof(*chunk);
        mem_free(chunk);
    }
    ASSERT(expiry->level_counts[level] > 0);
    expiry->level_counts[level]--;
    expiry->count--;
    return true;
}

/* Moves all hints of a slot to where they belong as seen from now_s, which has just become the
 * first second of the slot's time. */
static void empty_slot(struct expiry *expiry, unsigned level, unsigned slot)
{
    struct chunk *chunk = expiry->slots[level][slot];
    expiry->slots[level][slot] = NULL;
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        expiry->count -= chunk->count;
        expiry->level_counts[level] -= chunk->count;
        expiry->bytes -= sizeof(*chunk);
        for (uint32_t i = 0; i < chunk->count; i++) {
            if (chunk->hints[i].due_s <= expiry->now_s)
                put_at_level(expiry, chunk->hints[i], 0);
            else
                put_hint(expiry, chunk->hints[i]);
        }
        mem_free(chunk);
        chunk = next;
    }
}

/* `now_s` has entered a new block: the slots that begin with it move down, highest level first. Not
 * budgeted: it moves 8 bytes a hint. */
static void cascade(struct expiry *expiry)
{
    for (unsigned level = LEVEL_COUNT - 1; level > 0; level--) {
        uint32_t below = (1u << (SLOT_BITS * level)) - 1;
        if ((expiry->now_s & below) == 0)
            empty_slot(expiry, level, expiry->now_s >> (SLOT_BITS * level) & (SLOT_COUNT - 1));
    }
}

/* Fires what is left in the slot of `now_s`. False if the budget has run out before. */
static bool fire_slot(struct expiry *expiry, size_t *budget, expiry_due_fn on_due, void *ctx)
{
    unsigned slot = expiry->now_s & (SLOT_COUNT - 1);
    struct hint hint;
    while (*budget > 0 && pop_hint(expiry, 0, slot, &hint)) {
        (*budget)--;
        on_due(ctx, hint.hash);
    }
    return expiry->slots[0][slot] == NULL;
}

/* The last second of the stretch in which nothing can fire: no level below holds any hint. */
static uint32_t quiet_until(const struct expiry *expiry)
{
    unsigned level = 0;
    while (level < LEVEL_COUNT - 1 && expiry->level_counts[level] == 0)
        level++;
    return expiry->now_s | ((1u << (SLOT_BITS * level)) - 1);
}

bool expiry_advance(struct expiry *expiry, uint64_t now_ms, size_t budget, expiry_due_fn on_due,
                    void *ctx)
{
    uint32_t target = now_ms / 1000 < UINT32_MAX - 1 ? (uint32_t)(now_ms / 1000) : UINT32_MAX - 1;
    while (fire_slot(expiry, &budget, on_due, ctx)) {
        if (expiry->now_s >= target)
            return false;
        uint32_t quiet_s = quiet_until(expiry);
        if (expiry->count == 0) {
            expiry->now_s = target;
        } else if (expiry->now_s < quiet_s) {
            /* At once, however far: a new wheel that stands at 0 has half a century to go. */
            expiry->now_s = quiet_s < target ? quiet_s : target;
        } else {
            expiry->now_s++;
            cascade(expiry);
        }
    }
    return true;
}

void expiry_look_ahead(struct expiry *expiry, expiry_due_fn on_due, void *ctx)
{
    uint32_t due_s = expiry->now_s + 1;
    unsigned level = level_of(expiry, due_s);
    unsigned slot = due_s >> (SLOT_BITS * level) & (SLOT_COUNT - 1);
    struct chunk *chunk = expiry->slots[level][slot];
    expiry->slots[level][slot] = NULL;
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        expiry->count -= chunk->count;
        expiry->level_counts[level] -= chunk->count;
        expiry->bytes -= sizeof(*chunk);
        for (uint32_t i = 0; i < chunk->count; i++) {
            if (chunk->hints[i].due_s == due_s)
                on_due(ctx, chunk->hints[i].hash);
            else
                put_at_level(expiry, chunk->hints[i], level);
        }
        mem_free(chunk);
        chunk = next;
    }
}

uint64_t expiry_next_ms(const struct expiry *expiry)
{
    for (unsigned level = 0; level < LEVEL_COUNT; level++) {
        if (expiry->level_counts[level] == 0)
            continue;
        unsigned shift = SLOT_BITS * level;
        uint64_t block = expiry->now_s >> shift;
        uint64_t last = block | (SLOT_COUNT - 1);
        for (uint64_t at = block; at <= last; at++) {
            if (expiry->slots[level][at & (SLOT_COUNT - 1)] != NULL)
                return (at << shift) * 1000;
        }
    }
    return UINT64_MAX;
}

size_t expiry_count(const struct expiry *expiry)
{
    return expiry->count;
}

size_t expiry_bytes(const struct expiry *expiry)
{
    return expiry->bytes;
}
