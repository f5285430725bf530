/* SPDX-License-Identifier: Apache-2.0 */
/* One counter, `now`, and for each reader the value of it that the reader saw when it last held
 * nothing (`seen`, 0 while offline). Three steps free an object:
 *
 *   writer   unlinks it, puts it into its bag                       (retire)
 *   writer   adds one to `now`; the new value is the batch's goal   (seal, once for many objects)
 *   writer   finds every reader offline or with seen >= goal: nobody can hold it  (collect)
 *
 * Why that is enough (E2, E3). A reader that stores seen = n has loaded n from `now` before, with
 * acquire. If n >= goal it has therefore met the writer's addition, or a later one of the same
 * chain of read-modify-writes, and with it the unlinking: whatever it finds from then on is not
 * this object. What it found before, it has let go of before its release store of `seen`, which
 * the writer acquires: its last look at the object happens before the freeing.
 *
 * Coming online is the delicate part (E4): the reader says "I am here" and then looks at shared
 * structures; the writer unlinks and then asks who is here. Each must not miss the other. Both
 * sides use sequentially consistent operations, which have one order that all agree on:
 *
 *   reader:  store seen           writer:  add to now  (after unlinking)
 *            load now                      load seen
 *
 * If the writer's load still finds 0, it stands before the reader's store in that order, so the
 * addition stands before the reader's second load of `now`, which hence meets the unlinking. No
 * fences, which ThreadSanitizer does not model. The same argument covers registration, with
 * `reader_limit` in the place of `seen`.
 *
 * A bag holds at most one sealed batch that waits for its goal; what is retired meanwhile gathers
 * in the next. So there is one goal to test, whatever the backlog, and an object waits for two
 * grace periods at most. The test begins with the reader that failed it last time: while that one
 * is still behind, a turn costs one load.
 */
#include "epoch/epoch.h"

#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define CACHE_LINE    64
#define BLOCK_ENTRIES 63

struct epoch_reader {
    _Alignas(CACHE_LINE) _Atomic uint64_t seen; /* E1: 0 while offline */
    atomic_bool is_taken;
    struct epoch *epoch;
};

struct epoch {
    _Alignas(CACHE_LINE) _Atomic uint64_t now; /* E2: only ever added to */
    _Atomic uint32_t reader_limit;             /* readers beyond have never been taken */
    _Atomic uint32_t bag_count;
    struct epoch_reader readers[EPOCH_MAX_READERS];
};

struct entry {
    void *object;
    size_t bytes;
};

/* Filled from the front and, once ready, emptied from the front. */
struct block {
    struct block *next;
    uint32_t filled;
    uint32_t taken;
    struct entry entries[BLOCK_ENTRIES];
};
STATIC_ASSERT(sizeof(struct block) == 1024, "a block fills one size class of the allocator");

struct chain {
    struct block *head;
    struct block *tail;
};

struct epoch_bag {
    struct epoch *epoch;
    epoch_free_fn free_fn;
    void *ctx;
    struct chain open;    /* retired since the last seal */
    struct chain waiting; /* sealed, until all readers have seen `goal` */
    struct chain ready;   /* nobody can hold these */
    uint64_t goal;
    uint32_t laggard; /* the reader that was last found behind */
    _Atomic size_t bytes;
};

struct epoch *epoch_new(void)
{
    struct epoch *epoch = mem_try_alloc_aligned(CACHE_LINE, sizeof(*epoch));
    ASSERT(epoch != NULL);
    memset(epoch, 0, sizeof(*epoch));
    atomic_init(&epoch->now, 1);
    for (size_t i = 0; i < EPOCH_MAX_READERS; i++)
        epoch->readers[i].epoch = epoch;
    return epoch;
}

void epoch_free(struct epoch *epoch)
{
    if (epoch == NULL)
        return;
    for (size_t i = 0; i < EPOCH_MAX_READERS; i++)
        ASSERT(!atomic_load(&epoch->readers[i].is_taken));
    ASSERT(atomic_load(&epoch->bag_count) == 0);
    mem_free(epoch);
}

/* Makes every scan that begins from now on look at `count` readers at least. */
static void raise_limit(struct epoch *epoch, uint32_t count)
{
    uint32_t limit = atomic_load(&epoch->reader_limit);
    while (limit < count && !atomic_compare_exchange_weak(&epoch->reader_limit, &limit, count)) {
    }
}

struct epoch_reader *epoch_register(struct epoch *epoch)
{
    for (uint32_t i = 0; i < EPOCH_MAX_READERS; i++) {
        struct epoch_reader *reader = &epoch->readers[i];
        bool is_taken = false;
        if (!atomic_compare_exchange_strong(&reader->is_taken, &is_taken, true))
            continue;
        raise_limit(epoch, i + 1);
        epoch_online(reader);
        return reader;
    }
    UNREACHABLE("more than EPOCH_MAX_READERS readers");
}

void epoch_unregister(struct epoch_reader *reader)
{
    ASSERT(atomic_load_explicit(&reader->is_taken, memory_order_relaxed));
    atomic_store_explicit(&reader->seen, 0, memory_order_release);
    atomic_store_explicit(&reader->is_taken, false, memory_order_release);
}

void epoch_quiescent(struct epoch_reader *reader)
{
    uint64_t seen = atomic_load_explicit(&reader->seen, memory_order_relaxed);
    ASSERT(seen != 0); /* E1 */
    uint64_t now = atomic_load_explicit(&reader->epoch->now, memory_order_acquire);
    /* With nothing sealed since, nothing waits for this reader: its line stays clean. */
    if (now != seen)
        atomic_store_explicit(&reader->seen, now, memory_order_release);
}

void epoch_offline(struct epoch_reader *reader)
{
    ASSERT(atomic_load_explicit(&reader->seen, memory_order_relaxed) != 0); /* E1 */
    atomic_store_explicit(&reader->seen, 0, memory_order_release);
}

void epoch_online(struct epoch_reader *reader)
{
    ASSERT(atomic_load_explicit(&reader->seen, memory_order_relaxed) == 0); /* E1 */
    uint64_t now = atomic_load_explicit(&reader->epoch->now, memory_order_relaxed);
    atomic_store(&reader->seen, now);
    uint64_t again = atomic_load(&reader->epoch->now); /* E4 */
    if (again != now)
        atomic_store_explicit(&reader->seen, again, memory_order_release);
}

struct epoch_bag *epoch_bag_new(struct epoch *epoch, epoch_free_fn free_fn, void *ctx)
{
    struct epoch_bag *bag = mem_calloc(1, sizeof(*bag));
    bag->epoch = epoch;
    bag->free_fn = free_fn;
    bag->ctx = ctx;
    atomic_fetch_add(&epoch->bag_count, 1);
    return bag;
}

static void add_bytes(struct epoch_bag *bag, size_t delta)
{
    size_t bytes = atomic_load_explicit(&bag->bytes, memory_order_relaxed);
    atomic_store_explicit(&bag->bytes, bytes + delta, memory_order_relaxed);
}

static void push_block(struct chain *chain)
{
    struct block *block = mem_alloc(sizeof(*block));
    block->next = NULL;
    block->filled = 0;
    block->taken = 0;
    if (chain->tail == NULL)
        chain->head = block;
    else
        chain->tail->next = block;
    chain->tail = block;
}

/* Puts all of `from` behind `to`. */
static void splice(struct chain *to, struct chain *from)
{
    if (to->tail == NULL)
        to->head = from->head;
    else
        to->tail->next = from->head;
    to->tail = from->tail;
    *from = (struct chain){NULL, NULL};
}

void epoch_retire(struct epoch_bag *bag, void *object, size_t bytes)
{
    if (bag->open.tail == NULL || bag->open.tail->filled == BLOCK_ENTRIES)
        push_block(&bag->open);
    struct block *block = bag->open.tail;
    block->entries[block->filled++] = (struct entry){.object = object, .bytes = bytes};
    add_bytes(bag, bytes);
}

static bool is_behind(const struct epoch_reader *reader, uint64_t goal)
{
    uint64_t seen = atomic_load(&reader->seen);
    return seen != 0 && seen < goal;
}

/* E3: has every reader been offline or quiescent since the waiting batch was sealed? */
static bool is_goal_met(struct epoch_bag *bag)
{
    const struct epoch *epoch = bag->epoch;
    if (is_behind(&epoch->readers[bag->laggard], bag->goal))
        return false;
    uint32_t limit = atomic_load(&epoch->reader_limit);
    for (uint32_t i = 0; i < limit; i++) {
        if (is_behind(&epoch->readers[i], bag->goal)) {
            bag->laggard = i;
            return false;
        }
    }
    return true;
}

/* Moves batches on as far as the readers allow: open, waiting, ready. */
static void advance(struct epoch_bag *bag)
{
    for (;;) {
        if (bag->waiting.head == NULL) {
            if (bag->open.head == NULL)
                return;
            splice(&bag->waiting, &bag->open);
            bag->goal = atomic_fetch_add(&bag->epoch->now, 1) + 1;
        }
        if (!is_goal_met(bag))
            return;
        splice(&bag->ready, &bag->waiting);
    }
}

/* Takes the oldest entry out. The block goes with its last entry. */
static struct entry pop_entry(struct chain *chain)
{
    struct block *block = chain->head;
    ASSERT_SLOW(block->taken < block->filled);
    struct entry entry = block->entries[block->taken++];
    if (block->taken == block->filled) {
        chain->head = block->next;
        if (chain->head == NULL)
            chain->tail = NULL;
        mem_free(block);
    }
    return entry;
}

static void free_first(struct epoch_bag *bag)
{
    struct entry entry = pop_entry(&bag->ready);
    add_bytes(bag, (size_t)0 - entry.bytes);
    bag->free_fn(bag->ctx, entry.object);
}

bool epoch_collect(struct epoch_bag *bag, size_t budget)
{
    if (bag->open.head != NULL || bag->waiting.head != NULL)
        advance(bag);
    for (; budget > 0 && bag->ready.head != NULL; budget--)
        free_first(bag);
    return bag->ready.head != NULL;
}

void epoch_bag_empty(struct epoch_bag *bag)
{
    do {
        if (bag->waiting.head != NULL)
            splice(&bag->ready, &bag->waiting);
        if (bag->open.head != NULL)
            splice(&bag->ready, &bag->open);
        while (bag->ready.head != NULL)
            free_first(bag);
    } while (bag->open.head != NULL);
    ASSERT(epoch_bag_bytes(bag) == 0);
}

void epoch_bag_free(struct epoch_bag *bag)
{
    if (bag == NULL)
        return;
    epoch_bag_empty(bag);
    atomic_fetch_sub(&bag->epoch->bag_count, 1);
    mem_free(bag);
}

size_t epoch_bag_bytes(const struct epoch_bag *bag)
{
    return atomic_load_explicit(&bag->bytes, memory_order_relaxed);
}
