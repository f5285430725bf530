/* SPDX-License-Identifier: Apache-2.0 */
/* batch: what one io loop gathered in a turn, and the rounds in which it goes through the shards.
 *
 * A batch holds the commands to be logged, encoded into the frame that will be written, and the
 * reads that have a place among them. The sequencer makes a round of one or more batches for each
 * entry; a replayed entry makes a round without batches. A round is posted to every shard that it
 * names; the last one to finish it ends it.
 *
 * Threads:  a batch belongs to its port until it is posted, then to the sequencer, then to its
 * round. The shards of a round walk disjoint lists of works and share only its atomic words.
 */
#ifndef ENGINE_BATCH_H
#define ENGINE_BATCH_H

#include <stdatomic.h>

#include "base/buf.h"
#include "command/codec.h"
#include "engine/entry.h"
#include "engine/port.h"
#include "seglog/frame.h"

struct op;
struct batch;
struct barrier;
struct checkpoint;
struct round;

/* One op in the list of one shard. */
struct work {
    struct work *next;
    struct op *op;
};

enum op_flags {
    OP_LOGGED = 1, /* in the frame; otherwise in the batch's side buffer, a read */
    OP_MULTI = 2,  /* more than one shard */
    OP_LEAVES_USE = 4
};

struct op {
    struct work work; /* for the one shard, unless OP_MULTI */
    const struct command_row *row;
    void *token;
    struct batch *batch;
    struct barrier *barrier;
    uint64_t shards; /* a set */
    uint64_t client; /* for events */
    uint64_t hash;   /* of its first key, to bring it near in time; 0: none */
    uint32_t off;    /* of the coded command, from the start of frame data or side bytes */
    uint32_t size;
    uint16_t ordinal; /* command number in its entry; of a read: of the last one before it */
    uint16_t flags;
    uint16_t db;
    uint8_t proto;
};

enum batch_kind {
    BATCH_ORDERED, /* writes, and reads behind them */
    BATCH_URGENT,  /* reads that wait for no write of their connection: dispatched at once */
    BATCH_CLOCK    /* reads for which time must be raised first (R22) */
};

struct batch {
    struct loop_post post;
    struct batch *next;
    struct port *port; /* NULL in replay */
    enum batch_kind kind;
    bool is_posted;      /* counted in port->waiting_batches */
    bool may_grow;       /* of its commands to be logged, one may take space */
    struct frame *frame; /* NULL: nothing to be logged */
    struct buf side;
    struct op *ops;
    uint32_t op_count;
    uint32_t op_cap;
    uint32_t logged_count;
};

/* Where several shards meet (P2): the last one to arrive executes the op over all of them. */
struct barrier {
    _Atomic uint32_t missing;
    uint32_t work_count;
    struct work works[];
};

enum round_kind { ROUND_ENTRY, ROUND_READS, ROUND_MARK };

struct round_part {
    struct loop_post post;
    struct round *round;
    struct round_part *next; /* in the shard's queue */
    struct work *first;
    struct work *last;
    uint32_t shard;
};

struct round {
    enum round_kind kind;
    uint64_t index;   /* of the entry; READS: 0 */
    uint64_t time_ms; /* what commands see */
    uint64_t now_ms;  /* READS: beyond time_ms expiry is undecided; else equal to it */
    struct frame *frame;
    struct batch *batches;
    struct group *group;
    struct checkpoint *checkpoint; /* MARK */
    size_t bytes;
    struct loop_post ended; /* back to the sequencer */
    _Atomic uint32_t parts_left;
    uint32_t part_count;
    struct round_part parts[]; /* one a shard */
};

struct batch *batch_new(struct port *port, enum batch_kind kind);
void batch_free(struct batch *batch);

/* Room for one more op, zeroed. */
struct op *batch_add_op(struct batch *batch);

/* Bytes an ORDERED batch would put on disk with `more` added, headers included. */
size_t batch_frame_size(const struct batch *batch);

struct round *round_new(struct group *group, enum round_kind kind);
void round_free(struct round *round);

/* Puts every op of the batch into the lists of its shards. */
void round_add_ops(struct round *round, struct batch *batch);

#endif
