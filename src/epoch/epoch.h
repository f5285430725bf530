/* SPDX-License-Identifier: Apache-2.0 */
/* epoch: deferred freeing for lock-free readers, by quiescent states (QSBR).
 *
 * A reader thread registers once and says at the end of every turn that it holds no pointer into
 * shared structures; while it sleeps it is offline and holds nobody up. A writer retires what it
 * has unlinked into a bag of its own; the bag frees it when every reader that was online has been
 * quiescent since. No call blocks and nothing starts a thread, which is why this is not liburcu:
 * the version at hand can only wait for a grace period or keep threads for it.
 *
 * Source: Hart, McKenney, Brown, Walpole, "Performance of memory reclamation for lockless
 * synchronization", 2007 (QSBR), with a global counter as in FreeBSD's SMR.
 *
 * Threads:  a reader is used by the thread that registered it. A bag has one owner at a time.
 * Lifetime: a domain outlives its readers and bags.
 * See epoch/README.md, invariants E1-E4.
 */
#ifndef EPOCH_EPOCH_H
#define EPOCH_EPOCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define EPOCH_MAX_READERS 256

struct epoch;
struct epoch_reader;
struct epoch_bag;

/* Frees one retired object. `ctx` is the bag's. It may retire others, into this bag too. */
typedef void (*epoch_free_fn)(void *ctx, void *object);

struct epoch *epoch_new(void);
void epoch_free(struct epoch *epoch);

/* Registers the calling thread's reader, online. Ends the process above EPOCH_MAX_READERS. */
struct epoch_reader *epoch_register(struct epoch *epoch);
void epoch_unregister(struct epoch_reader *reader);

/* The reader holds no shared pointer now. */
void epoch_quiescent(struct epoch_reader *reader);

/* Between offline and online the thread must touch nothing shared. */
void epoch_offline(struct epoch_reader *reader);
void epoch_online(struct epoch_reader *reader);

/* `free_fn` frees what is retired into this bag. */
struct epoch_bag *epoch_bag_new(struct epoch *epoch, epoch_free_fn free_fn, void *ctx);

/* Frees everything in it at once: only when no reader can hold any of it. epoch_bag_free() frees
 * the bag, too. */
void epoch_bag_empty(struct epoch_bag *bag);
void epoch_bag_free(struct epoch_bag *bag);

/* Takes an object that no new reader can find any more. `bytes` is what it holds, for the limit.
 * O(1) amortised; never frees by itself. Thread: the owner. */
void epoch_retire(struct epoch_bag *bag, void *object, size_t bytes);

/* Frees what has become safe, up to `budget` objects; call once a turn, behind epoch_quiescent().
 * True if more is ready. Where the owner is the only reader, a turn's objects go at the end of the
 * next turn, or at once if it is offline. Thread: the owner. */
bool epoch_collect(struct epoch_bag *bag, size_t budget);

/* Retired and not yet freed (P7). Thread: any; exact on the owner's. */
size_t epoch_bag_bytes(const struct epoch_bag *bag);

#endif
