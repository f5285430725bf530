/* SPDX-License-Identifier: Apache-2.0 */
/* A frame says which index comes next. So behind the last one that says an index up to X + 1, X
 * being the checkpoint's, nothing of the log up to X changes any more: all entries behind X stand
 * in it or follow it, whatever was lost before; and if it has not X + 1 itself, there are none.
 *
 * The segments are walked from the newest to the oldest. Frames that a newer life of the log has
 * made void do not count: every whole frame says by its number in which sequence its own segment
 * began, even if the OPEN there is lost. That is also how the frames of a spare segment are told
 * whose header is damaged: recovery removes what it has cut whole before it goes on, so a segment
 * that is newer by number begins later than all older ones. Where the older ones end says nothing:
 * what lies behind a cut in them may be higher.
 *
 * Only a term or vote of the node may be among what was lost: the OPEN of the segment behind
 * repeats it; without one the node takes a term above all that are seen, in which it has not voted.
 * In any of those it may have. */
#include "check/repair/front.h"

#include "base/mem.h"

/* ---- The use of one segment ---- */

static int on_any_frame(void *ctx, const struct seglog_seen *seen)
{
    struct segment_use *use = ctx;
    uint64_t begins = seen->sequence - seen->nth;
    if (begins > use->begins)
        *use = (struct segment_use){.begins = begins, .epoch = seen->epoch};
    return 0;
}

static bool is_ours(const struct folder *folder, const struct seglog_segment *segment,
                    uint64_t number)
{
    return !segment->is_header_sound ||
           (segment->group_id == folder->manifest.group_id && segment->number == number);
}

/* The latest use of which it has a frame, or none if it is not of this log. */
static int read_use(const struct folder *folder, const char *name, uint64_t number,
                    struct segment_use *out_use, struct diag *diag)
{
    char *path = path_format("%s/log/%s", folder->dir, name);
    struct seglog_segment segment = {0};
    *out_use = (struct segment_use){0};
    int rc = seglog_walk(folder->fs, path, on_any_frame, out_use, &segment, diag);
    if (!is_ours(folder, &segment, number))
        *out_use = (struct segment_use){0};
    mem_free(path);
    return rc;
}

int front_find_use(const struct folder *folder, const struct names *names, uint64_t number,
                   struct segment_use *out_use, struct diag *diag)
{
    uint64_t older_begins = 0;
    *out_use = (struct segment_use){0};
    for (size_t i = 0; i < names->count; i++) {
        struct segment_use use;
        uint64_t other;
        bool is_temporary;
        if (!seglog_parse_name(names->items[i], &other, &is_temporary) || is_temporary ||
            other > number)
            continue;
        int rc = read_use(folder, names->items[i], other, &use, diag);
        if (rc != 0)
            return rc;
        if (other == number)
            *out_use = use;
        else if (use.begins > older_begins)
            older_begins = use.begins;
    }
    if (out_use->begins <= older_begins)
        *out_use = (struct segment_use){0};
    return 0;
}

/* ---- All of them ---- */

struct search {
    uint64_t checkpoint;
    uint64_t limit; /* from this sequence on newer segments count */
    uint64_t last;  /* the highest sequence of a frame that says an index up to the next one */
    struct front *front;
    uint64_t next_sequence;         /* behind the run */
    uint64_t epoch;                 /* of the run */
    bool has_state;                 /* the run has one of its own */
    struct seglog_hard_state state; /* the latest one that is seen */
    /* Of the segment that is walked. */
    uint64_t number;
    uint64_t only_epoch; /* 0: the walk gives no others */
    uint64_t begins;     /* the sequence of its first frame; 0: it has none that count */
    bool has_open;
    struct seglog_hard_state open_state;
};

static void begin_run(struct search *search, const struct seglog_seen *seen)
{
    *search->front = (struct front){
        .number = search->number,
        .run = {.off = seen->off, .end = seen->off, .sequence = seen->sequence},
        .hard_state = search->state,
    };
    search->next_sequence = seen->sequence;
    search->epoch = seen->epoch;
    search->has_state = false;
}

static bool continues_run(const struct search *search, const struct seglog_seen *seen)
{
    return search->front->number == search->number && seen->off == search->front->run.end &&
           seen->sequence == search->next_sequence && seen->epoch == search->epoch &&
           seen->first_index > search->checkpoint;
}

static int on_frame(void *ctx, const struct seglog_seen *seen)
{
    struct search *search = ctx;
    bool is_of_use = search->only_epoch == 0 || seen->epoch == search->only_epoch;
    if (seen->sequence >= search->limit || !is_of_use)
        return 0;
    search->begins = seen->sequence - seen->nth;
    bool is_first = false;
    if (seen->first_index <= search->checkpoint + 1 && seen->sequence > search->last) {
        search->last = seen->sequence;
        *search->front = (struct front){0};
        is_first = seen->count > 0 && seen->first_index + seen->count > search->checkpoint + 1;
    }
    if (is_first)
        begin_run(search, seen);
    bool is_in_run = is_first || continues_run(search, seen);
    if (is_in_run) {
        search->front->run.end += seen->room;
        search->next_sequence++;
    }
    if (seen->kind == FRAME_OPEN || seen->kind == FRAME_HARDSTATE) {
        search->state = seglog_hard_state_of(seen);
        search->has_state = search->has_state || is_in_run;
    }
    if (seen->kind == FRAME_OPEN) {
        search->has_open = true;
        search->open_state = search->state;
    }
    return 0;
}

static int walk(const struct folder *folder, const struct names *names, const char *name,
                struct search *search, struct diag *diag)
{
    char *path = path_format("%s/log/%s", folder->dir, name);
    struct seglog_segment segment = {0};
    struct segment_use use = {.begins = 1};
    int rc = seglog_walk(folder->fs, path, NULL, NULL, &segment, diag);
    if (rc == 0 && !segment.is_header_sound)
        rc = front_find_use(folder, names, search->number, &use, diag);
    search->only_epoch = use.epoch;
    if (rc == 0 && use.begins != 0 && is_ours(folder, &segment, search->number))
        rc = seglog_walk(folder->fs, path, on_frame, search, &segment, diag);
    mem_free(path);
    return rc;
}

/* What the node knew when it put the run. */
static void settle_state(struct search *search, const struct log_verdict *verdict, bool has_next,
                         const struct seglog_hard_state *next, uint64_t checkpoint_term)
{
    struct seglog_hard_state *state = &search->front->hard_state;
    if (search->has_state)
        return;
    if (has_next && search->next_sequence == search->limit)
        *state = *next;
    else
        *state = front_forgotten_state(verdict, state->term > checkpoint_term ? state->term
                                                                              : checkpoint_term);
}

struct seglog_hard_state front_forgotten_state(const struct log_verdict *verdict, uint64_t term)
{
    uint64_t highest = verdict->seen_term > term ? verdict->seen_term : term;
    return (struct seglog_hard_state){.term = highest + 1};
}

int front_find(const struct folder *folder, const struct log_verdict *verdict,
               const struct names *names, struct front *out_front, struct diag *diag)
{
    const struct seglog_judged *judged = &verdict->judged;
    struct search search = {.checkpoint = folder->manifest.index,
                            .limit = UINT64_MAX,
                            .last = judged->has_start ? judged->sequence : 0,
                            .front = out_front};
    bool has_next = false;
    struct seglog_hard_state next = {0};
    *out_front = (struct front){0};
    for (size_t i = names->count; i-- > 0;) {
        bool is_temporary;
        if (!seglog_parse_name(names->items[i], &search.number, &is_temporary) || is_temporary ||
            search.number < judged->start_number)
            continue;
        search.state = judged->hard_state;
        search.begins = 0;
        search.has_open = false;
        int rc = walk(folder, names, names->items[i], &search, diag);
        if (rc != 0)
            return rc;
        if (out_front->number == search.number)
            settle_state(&search, verdict, has_next, &next, folder->manifest.term);
        if (search.begins != 0) {
            search.limit = search.begins;
            has_next = search.has_open;
            next = search.open_state;
        }
    }
    return 0;
}
