/* SPDX-License-Identifier: Apache-2.0 */
/* The log's own state, shared by the files of this folder. */
#ifndef SEGLOG_SEGLOG_INTERNAL_H
#define SEGLOG_SEGLOG_INTERNAL_H

#include "base/assert.h"
#include "base/buf.h"
#include "seglog/index_internal.h"
#include "seglog/seglog.h"

/* frame->result until the disk has answered. */
#define FRAME_IN_FLIGHT 1

/* Space kept free for the log's own frames while no other segment is ready (S7). */
#define RESERVE_MIN (32U << 10)
#define RESERVE_MAX (4U << 20)

struct segment_list {
    struct list_node head;
    unsigned count;
};

struct seglog {
    struct seglog_options options;
    char *dir;
    uint32_t reserve;

    /* Segments: each in one list; numbers ascend within and from the first list to the second. */
    struct segment_list used; /* oldest first */
    struct segment_list ready;
    struct segment_list spare;
    struct segment *active; /* the last of used; NULL until this life's first frame (S5) */
    uint64_t next_number;
    bool is_preparing;
    int prep_error; /* of the last preparation */

    /* What has been put, durable or not. */
    uint64_t sequence;
    uint64_t last_index;
    uint64_t last_term;
    struct hard_state hard_state;
    struct frame_index index;
    struct term_table terms;
    uint64_t state_sequence; /* last frame that is not a VOUCH */
    uint64_t claimed;        /* durable-up-to of the last frame put */

    uint64_t durable_sequence;
    uint64_t durable_index;
    uint64_t checkpoint_index;

    uint64_t configuration_index;
    struct buf configuration;
    struct buf found_configuration;

    /* Frames, each list in order of sequence. */
    struct list_node waiting; /* for room in the aio */
    struct list_node in_flight;
    struct list_node durable; /* for the caller */
    struct list_node lost;
    unsigned waiting_count;
    unsigned submitted; /* in the aio */
    unsigned entries_in_flight;
    int error;

    struct seglog_stats stats;
};

static inline void segment_list_init(struct segment_list *list)
{
    list_init(&list->head);
    list->count = 0;
}

static inline void segment_list_push(struct segment_list *list, struct segment *segment)
{
    list_push_back(&list->head, &segment->node);
    list->count++;
}

static inline void segment_list_remove(struct segment_list *list, struct segment *segment)
{
    list_del(&segment->node);
    list->count--;
}

/* NULL if it is empty. */
static inline struct segment *segment_list_first(const struct segment_list *list)
{
    if (list_is_empty(&list->head))
        return NULL;
    return LIST_ENTRY(list->head.next, struct segment, node);
}

/* Takes the first one out; there is one. */
static inline struct segment *segment_list_pop(struct segment_list *list)
{
    struct list_node *node = list_pop_front(&list->head);
    ASSERT(node != NULL && list->count > 0);
    list->count--;
    return LIST_ENTRY(node, struct segment, node);
}

static inline struct segment *segment_list_next(const struct segment_list *list,
                                                const struct segment *segment)
{
    if (segment->node.next == &list->head)
        return NULL;
    return LIST_ENTRY(segment->node.next, struct segment, node);
}

/* A log of which nothing is known yet. */
struct seglog *seglog_new(const struct seglog_options *options);
void seglog_free(struct seglog *log);

/* Makes segments that hold nothing above the checkpoint spare (S8). */
void seglog_retire(struct seglog *log);

/* Fills the log from its directory; part of seglog_open(). */
MUST_CHECK
int seglog_recover(struct seglog *log, struct seglog_found *out_found, struct diag *diag);

#endif
