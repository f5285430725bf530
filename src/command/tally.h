/* SPDX-License-Identifier: Apache-2.0 */
/* tally: how often commands were called, how long that took, what errors they met.
 *
 * Every port and every shard keeps one of its own; INFO adds them up. The clock is not read for
 * each command: commands that are quick by their nature are gathered, and the time between two
 * readings is shared out equally among what ran in between. tally_split() ends such a stretch: in
 * front of and behind each command that may take long, now and then among the others, and at the
 * end of what there was to do. So the sums are right, and what is slow is seen alone.
 *
 * Units:   ns for sums, us for what is slow.
 * Threads: one writer, the thread of its port or shard; tally_add_to() from any.
 */
#ifndef COMMAND_TALLY_H
#define COMMAND_TALLY_H

#include <stdatomic.h>

#include "command/catalogue.h"
#include "os/clock.h"

#define TALLY_STRETCH  32 /* commands between two readings of the clock at most */
#define TALLY_BUCKETS  218
#define TALLY_ERRORS   128 /* kinds of errors that are told apart */
#define TALLY_EXACT_US 1000
#define TALLY_CHEAP    16384 /* bytes asked or answered, up to which a command may be quick */

/* What CONFIG SET changes for all of them. */
struct tally_settings {
    _Atomic bool is_without_buckets; /* distributions are not kept */
    _Atomic uint64_t slow_us;        /* a command that takes so long is kept; UINT64_MAX: none is */
};

/* A command that took long, on its way to whoever knows its client. */
struct slow_command {
    struct slow_command *next;
    void *token; /* of the request */
    const struct command_row *row;
    uint64_t us;
    struct buf argv; /* an array of bulk strings, shortened */
};

struct tally;

struct tally *tally_new(const struct command_table *table, struct clock *clock,
                        const struct tally_settings *settings);
void tally_free(struct tally *tally);

/* What comes is timed from here. */
void tally_start(struct tally *tally);
/* Reads the clock and shares out the time since it was read last. */
void tally_split(struct tally *tally);

struct tally_call {
    const struct command_row *row;
    const struct slice *argv;
    uint32_t argc;
    size_t size;        /* bytes asked or answered */
    struct slice reply; /* empty: not yet known; what is no error may be cut short */
};

/* Before a command is run: those before it are settled if it may take long. */
void tally_before(struct tally *tally, const struct command_row *row, size_t size);
/* It has been run. If it was slow by itself, it waits in tally_take_slow(). */
void tally_after(struct tally *tally, const struct tally_call *call);
/* The time since the last command is nobody's, or goes to what is executed elsewhere. */
void tally_other(struct tally *tally);

/* Within a transaction: its commands count when it is done and not before, since it may be run
 * again from the start. */
void tally_start_inner(struct tally *tally);
void tally_after_inner(struct tally *tally, const struct tally_call *call);
void tally_keep_inner(struct tally *tally);
void tally_drop_inner(struct tally *tally);

/* It was refused before it ran. */
void tally_reject(struct tally *tally, const struct command_row *row);
/* An error reply, "-PREFIX text". */
void tally_error(struct tally *tally, struct slice reply);
void tally_lookups(struct tally *tally, uint64_t found, uint64_t missed);

/* The slow ones since it was last asked, oldest first; the caller frees each. */
struct slow_command *tally_take_slow(struct tally *tally);
void slow_command_free(struct slow_command *slow);
/* Arguments as SLOWLOG shows them, appended. */
void slow_put_argv(struct buf *to, const struct command_row *row, const struct slice *argv,
                   uint32_t argc);
/* Its name in capitals. */
void slow_shout(struct slow_command *slow);
/* Must argument `nth` not be shown? */
bool slow_is_secret(const struct command_row *row, const struct slice *argv, uint32_t nth);

/* ---- Sums ---- */

struct tally_sum_row {
    uint64_t calls;
    uint64_t ns;
    uint64_t rejected;
    uint64_t failed;
    uint64_t *buckets; /* of durations; NULL: none */
};

struct tally_sum_error {
    char name[32];
    uint64_t count;
};

struct tally_sum {
    struct tally_sum_row *rows; /* by command_number() */
    size_t row_count;
    struct tally_sum_error errors[TALLY_ERRORS];
    size_t error_count;
    uint64_t error_total;
    uint64_t found;
    uint64_t missed;
};

void tally_sum_init(struct tally_sum *sum, const struct command_table *table);
void tally_sum_fini(struct tally_sum *sum);
void tally_add_to(const struct tally *tally, struct tally_sum *sum);
/* What `base` holds is taken off; it is an earlier sum of the same. */
void tally_sum_take_off(struct tally_sum *sum, const struct tally_sum *base);

/* Calls of the row whose durations were kept. */
uint64_t tally_timed(const struct tally_sum_row *row);
/* The duration that `percent` of a row's calls did not exceed, in ns. */
uint64_t tally_percentile(const struct tally_sum_row *row, double percent);
/* Up to which duration, in ns, a bucket counts. */
uint64_t tally_bucket_end_ns(size_t bucket);

#endif
