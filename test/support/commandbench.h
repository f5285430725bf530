/* SPDX-License-Identifier: Apache-2.0 */
/* commandbench: the commands of the command layer over a storebench: one line of text in, the reply
 * as text out.
 *
 * Words are parted by blanks; "..." holds blanks and \xHH, \", \\. Replies read
 *   +OK  -ERR ...  :1  "bytes"  nil  [a, b, c]
 *
 * Writes are run from the bytes that would stand in the log, and these are kept: the journal can be
 * replayed into another bench. Reads that may be answered on an io loop are run both that way and
 * on the shards, and must say the same; so are writes that a peek answers.
 */
#ifndef SUPPORT_COMMANDBENCH_H
#define SUPPORT_COMMANDBENCH_H

#include "command/command.h"
#include "support/storebench.h"

struct journal_entry {
    uint64_t now_ms;
    uint64_t index;
    size_t off; /* of the command in bytes */
};

struct commandbench {
    struct storebench *store;
    struct command_table *table;
    uint16_t db;
    uint8_t proto;
    bool in_multi;
    struct buf queue; /* coded commands */
    size_t queue_count;
    struct buf watches; /* as they stand in the log */
    struct buf reply;   /* of the last command */
    struct buf text;    /* the same for people */
    struct buf journal;
    struct journal_entry *entries;
    size_t entry_count;
    size_t entry_cap;
    uint64_t cold_runs; /* dropped because a value was cold */
    uint64_t peeks;     /* writes that a peek has answered */
    bool is_chilling;   /* all values are made cold after every write */
};

/* All families of the layer; freed with command_table_free(). */
struct command_table *commandbench_table(void);

struct commandbench *commandbench_new(const struct storebench_options *options);
/* Over a store that has been opened; takes it. */
struct commandbench *commandbench_over(struct storebench *store);
void commandbench_free(struct commandbench *bench);

/* Runs a command; the reply in RESP, until the next one. MULTI, EXEC, DISCARD, WATCH and SELECT do
 * what a session does; ADVANCE moves the clock by so many milliseconds. */
struct slice commandbench_call(struct commandbench *bench, const struct slice *argv, uint32_t argc);

/* The same with text. */
const char *commandbench_run(struct commandbench *bench, const char *line);

/* The test has failed unless the reply is `want`. */
void commandbench_expect(struct commandbench *bench, const char *line, const char *want);

/* Plays a script of lines "command -> reply": with all values hot, and with all cold over three
 * shards; then replays each run's journal over another number of shards, whose content must come
 * out the same (R12). */
void commandbench_play(const char *script);

/* Applies the entries of the journal from number `first` on to another bench, each at its time and
 * position. */
void commandbench_replay(const struct commandbench *from, size_t first, struct commandbench *to);

/* A power loss and the start after it: opens `image` (an image of the bench's disk, which the bench
 * owns from now on) and replays the journal from behind its checkpoint. The digest must be the same
 * as before. */
void commandbench_restart(struct commandbench *bench, struct simdisk *image);

/* A reply in RESP for people. Returns how many bytes of it were one value, 0 if it is none. */
size_t commandbench_print(struct slice reply, struct buf *to);

#endif
