/* SPDX-License-Identifier: Apache-2.0 */
/* From waiting batches to an entry in flight.
 *
 * All batches that wait go into one entry, as far as they fit: the slower the disk, the larger the
 * entry. The first batch's frame is the entry's; the commands of others are copied behind.
 */
#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

void sequencer_wait(struct sequencer *sequencer, struct batch *batch)
{
    batch->next = NULL;
    if (sequencer->waiting_last == NULL)
        sequencer->waiting = batch;
    else
        sequencer->waiting_last->next = batch;
    sequencer->waiting_last = batch;
}

static struct batch *pop_waiting(struct sequencer *sequencer)
{
    struct batch *batch = sequencer->waiting;
    sequencer->waiting = batch->next;
    if (sequencer->waiting == NULL)
        sequencer->waiting_last = NULL;
    batch->next = NULL;
    return batch;
}

/* The time by which reads behind all that has been stamped can be judged; what is stamped later is
 * not before it (R22). 0: no ceiling covers it, it would take an entry (R23). */
static uint64_t raise_clock(struct sequencer *sequencer, uint64_t now_ms)
{
    uint64_t ceiling_ms =
        sequencer->pending == NULL ? sequencer->committed_ceiling_ms : sequencer->hlc.ceiling_ms;
    if (now_ms > ceiling_ms)
        return 0;
    hlc_raise(&sequencer->hlc, now_ms);
    atomic_store(&sequencer->group->hlc_ms, now_ms);
    return now_ms;
}

/* Is an entry wanted before reads are executed, because they might meet a key that is due? */
static bool wants_clock_entry(const struct sequencer *sequencer, uint64_t now_ms,
                              uint64_t raised_ms)
{
    return raised_ms == 0 && sequencer->log_error == 0 && sequencer_has_due_keys(sequencer, now_ms);
}

/* Reads that wait for nothing. While entries are in flight they are judged by the time of what was
 * dispatched: a key that has fallen due since is still there for them, as it may be for those
 * entries. They do not take a later place, for commands of their connection follow them (R29). */
static void dispatch_urgent(struct sequencer *sequencer, struct batch *batch)
{
    if (sequencer->pending != NULL) {
        uint64_t time_ms = sequencer->dispatched_ms;
        sequencer_dispatch_reads(sequencer, batch, time_ms, time_ms);
        return;
    }
    uint64_t now_ms = sequencer_now_for_reads(sequencer);
    uint64_t raised_ms = raise_clock(sequencer, now_ms);
    if (wants_clock_entry(sequencer, now_ms, raised_ms)) {
        batch->kind = BATCH_CLOCK;
        sequencer_wait(sequencer, batch);
    } else {
        sequencer_pend_reads(sequencer, batch, raised_ms);
    }
}

void sequencer_on_batch(struct loop_post *post)
{
    struct batch *batch = CONTAINER_OF(post, struct batch, post);
    struct sequencer *sequencer = &batch->port->group->sequencer;
    batch->next = NULL;
    switch (batch->kind) {
    case BATCH_ORDERED:
        batch->is_posted = true;
        sequencer_wait(sequencer, batch);
        return;
    case BATCH_URGENT:
        dispatch_urgent(sequencer, batch);
        return;
    case BATCH_CLOCK: {
        uint64_t raised_ms = raise_clock(sequencer, sequencer_now_for_reads(sequencer));
        if (raised_ms == 0)
            sequencer_wait(sequencer, batch);
        else
            sequencer_pend_reads(sequencer, batch, raised_ms);
        return;
    }
    default:
        UNREACHABLE("all kinds of batches are listed");
    }
}

/* What ports on this very loop have gathered rides along. */
static void pull_ports(struct sequencer *sequencer)
{
    struct group *group = sequencer->group;
    for (uint32_t i = 0; i < group->options.io_loop_count; i++) {
        struct port *port = &group->ports[i];
        if (port->loop != sequencer->loop)
            continue;
        struct batch *batch = port_take_ordered(port);
        if (batch != NULL)
            sequencer_wait(sequencer, batch);
    }
}

static bool has_work(const struct sequencer *sequencer)
{
    const struct group *group = sequencer->group;
    if (sequencer->waiting != NULL)
        return true;
    for (uint32_t i = 0; i < group->options.io_loop_count; i++) {
        if (group->ports[i].loop == sequencer->loop && group->ports[i].ordered != NULL)
            return true;
    }
    return false;
}

/* Can the commands of `batch` be appended to the entry that `head` begins? */
static bool fits(const struct sequencer *sequencer, const struct batch *head,
                 const struct batch *batch)
{
    if (batch->frame == NULL)
        return true;
    size_t more = batch->frame->size - FRAME_PAYLOAD_OFF - ENTRY_PREFIX_SIZE;
    return head->logged_count + batch->logged_count <= ENTRY_MAX_COMMANDS &&
           batch_frame_size(head) + more <= sequencer->group->options.max_entry_bytes;
}

/* Moves the commands of `batch` behind those of `head`, which gets the frame if it has none. */
static void append_commands(struct batch *head, struct batch *batch)
{
    if (batch->frame == NULL)
        return;
    if (head->frame == NULL) {
        head->frame = batch->frame;
        batch->frame = NULL;
        head->logged_count = batch->logged_count;
        return;
    }
    size_t start = FRAME_PAYLOAD_OFF + ENTRY_PREFIX_SIZE;
    size_t more = batch->frame->size - start;
    if (frame_reserve(head->frame, more) != 0)
        assert_fail("out of memory for a log entry", __FILE__, __LINE__, __func__);
    memcpy(head->frame->data + head->frame->size, batch->frame->data + start, more);
    uint32_t moved = (uint32_t)(head->frame->size - start);
    for (uint32_t i = 0; i < batch->op_count; i++) {
        struct op *op = &batch->ops[i];
        if ((op->flags & OP_LOGGED) == 0)
            continue;
        op->off += moved;
        op->ordinal = (uint16_t)(op->ordinal + head->logged_count);
    }
    head->frame->size += more;
    head->logged_count += batch->logged_count;
    frame_unref(batch->frame);
    batch->frame = NULL;
}

/* Takes the waiting batches that go into one entry together. */
static struct batch *take_entry(struct sequencer *sequencer, bool *out_needs_entry)
{
    struct batch *head = pop_waiting(sequencer);
    struct batch *last = head;
    *out_needs_entry = head->frame != NULL || head->kind == BATCH_CLOCK;
    while (sequencer->waiting != NULL && fits(sequencer, head, sequencer->waiting)) {
        struct batch *batch = pop_waiting(sequencer);
        *out_needs_entry |= batch->frame != NULL || batch->kind == BATCH_CLOCK;
        append_commands(head, batch);
        last->next = batch;
        last = batch;
    }
    for (struct batch *batch = head; batch != NULL; batch = batch->next) {
        if (batch->is_posted)
            port_on_submitted(batch->port);
        batch->is_posted = false;
    }
    return head;
}

/* A tick of the clock carries nobody's request. */
static struct batch *without_portless(struct batch *batches)
{
    struct batch *kept = NULL;
    struct batch **link = &kept;
    while (batches != NULL) {
        struct batch *next = batches->next;
        batches->next = NULL;
        if (batches->port == NULL) {
            batch_free(batches);
        } else {
            *link = batches;
            link = &batches->next;
        }
        batches = next;
    }
    return kept;
}

static void submit(struct sequencer *sequencer, struct batch *batches)
{
    struct group *group = sequencer->group;
    struct frame *frame = batches->frame;
    uint32_t count = batches->logged_count;
    if (frame == NULL) {
        frame = frame_new(ENTRY_PREFIX_SIZE);
        ASSERT(frame != NULL);
        frame->size = FRAME_PAYLOAD_OFF + ENTRY_PREFIX_SIZE;
    }
    batches->frame = NULL;
    uint64_t stamp = hlc_stamp(&sequencer->hlc);
    entry_put_prefix(frame->data + FRAME_PAYLOAD_OFF,
                     &(struct entry_prefix){.semantics = ENTRY_SEMANTICS,
                                            .count = count,
                                            .hlc = stamp,
                                            .ceiling_ms = sequencer->hlc.ceiling_ms});
    frame_put_entry_header(frame, FRAME_HEADER_SIZE, frame->size - FRAME_PAYLOAD_OFF,
                           ENTRY_COMMAND);
    uint64_t index;
    int rc = consensus_submit(sequencer->consensus, frame, &index);
    size_t bytes = frame->size;
    frame_unref(frame);
    if (rc != 0) {
        sequencer_refuse(without_portless(batches), TEXT_LOG_FAILED);
        return;
    }
    struct pending_entry *entry = mem_calloc(1, sizeof(*entry));
    entry->index = index;
    entry->batches = without_portless(batches);
    entry->bytes = bytes;
    sequencer_push_pending(sequencer, entry);
    atomic_store(&group->hlc_ms, hlc_ms(stamp));
    sequencer->last_write_ms = loop_now_ms(sequencer->loop);
    group_publish(group, PUB_COMMANDS_LOGGED, group_published(group, PUB_COMMANDS_LOGGED) + count);
}

/* Nothing can be logged: writes are refused before submission, reads keep their place. */
static void refuse_writes(struct batch *batch, const char *text)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < batch->op_count; i++) {
        struct op *op = &batch->ops[i];
        if ((op->flags & OP_LOGGED) != 0 || batch->kind == BATCH_CLOCK)
            port_post_error(batch->port, op->token, op->size, text);
        else
            batch->ops[kept++] = *op;
    }
    batch->op_count = kept;
}

/* What ports took before they saw the pressure begin is not submitted (G16). Deletes that came in
 * one batch with it are refused, too: they are in one frame. */
static void refuse_growth(struct sequencer *sequencer)
{
    char text[PORT_TEXT_SIZE];
    disk_guard_refusal(sequencer->group, text, sizeof(text));
    pull_ports(sequencer);
    for (struct batch *batch = sequencer->waiting; batch != NULL; batch = batch->next) {
        if (!batch->may_grow)
            continue;
        refuse_writes(batch, text);
        frame_unref(batch->frame);
        batch->frame = NULL;
        batch->logged_count = 0;
        batch->may_grow = false;
    }
}

static bool is_growth_waiting(const struct sequencer *sequencer)
{
    for (const struct batch *batch = sequencer->waiting; batch != NULL; batch = batch->next) {
        if (batch->may_grow)
            return true;
    }
    return false;
}

static bool refuse_waiting(struct sequencer *sequencer, const char *text)
{
    pull_ports(sequencer);
    if (sequencer->waiting == NULL)
        return false;
    bool needs_entry;
    struct batch *batches = without_portless(take_entry(sequencer, &needs_entry));
    for (struct batch *batch = batches; batch != NULL; batch = batch->next)
        refuse_writes(batch, text);
    if (batches != NULL)
        sequencer_pend_reads(sequencer, batches, 0);
    return true;
}

/* The log must not run away from a checkpoint that is slow (P7). */
static bool is_log_too_long(const struct sequencer *sequencer)
{
    return seglog_stats(sequencer->log).live_bytes > 2 * sequencer->group->options.log_budget;
}

/* The next try after a failure is the second's tick (checkpoint.c); at the end there is none. */
static bool wait_for_checkpoint(struct sequencer *sequencer)
{
    if (!sequencer->is_checkpoint_failing)
        checkpoint_begin(sequencer);
    else if (sequencer->is_stopping)
        return refuse_waiting(sequencer, TEXT_STOPPING);
    return false;
}

static size_t next_size(const struct sequencer *sequencer)
{
    /* Nothing that take_entry() makes passes max-entry-bytes, and the log admits that much; asking
     * for the first batch alone would let a larger one slip past a nearly full segment. */
    size_t size = FRAME_PAYLOAD_OFF + ENTRY_PREFIX_SIZE;
    size_t max = sequencer->group->options.max_entry_bytes;
    for (const struct batch *batch = sequencer->waiting; batch != NULL; batch = batch->next)
        size += batch->frame == NULL ? 0 : batch->frame->size;
    return size < max ? size : max;
}

bool sequencer_submit_one(struct sequencer *sequencer)
{
    if (!has_work(sequencer))
        return false;
    if (sequencer->log_error != 0)
        return refuse_waiting(sequencer, TEXT_LOG_FAILED);
    /* A port on another loop may have taken it before it saw the end begin: nothing comes behind
     * the last checkpoint. */
    if (sequencer->is_stopping && sequencer->stop_phase != STOP_DRAINING)
        return refuse_waiting(sequencer, TEXT_STOPPING);
    /* What is applied now could only pile up in memory, and no checkpoint would ever give the log
     * room (P7). */
    if (atomic_load_explicit(&sequencer->group->shards_failing, memory_order_relaxed) != 0)
        return refuse_waiting(sequencer, TEXT_DATA_FULL);
    if (disk_guard_is_pressed(&sequencer->group->disk))
        refuse_growth(sequencer);
    if (!has_work(sequencer))
        return false;
    /* Is there a slot at all? Until then the ports go on gathering. */
    int rc = consensus_can_submit(sequencer->consensus, FRAME_ALIGN);
    if (rc == 0) {
        if (is_log_too_long(sequencer))
            return wait_for_checkpoint(sequencer);
        pull_ports(sequencer);
        rc = consensus_can_submit(sequencer->consensus, next_size(sequencer));
    }
    /* The rest of the last segment is for what makes room, until it is known that there is another
     * one (G16). */
    if (rc == 0 && sequencer->prep != NULL &&
        seglog_is_running_out(sequencer->log, next_size(sequencer)) && is_growth_waiting(sequencer))
        return false;
    if (rc == ERR_AGAIN || rc == ERR_NOT_LEADER)
        return false;
    if (rc == ERR_LOG_FAILED)
        return refuse_waiting(sequencer, TEXT_LOG_FAILED);
    if (rc != 0) {
        /* No segment could be prepared; the next try is the second's. */
        atomic_store(&sequencer->group->is_disk_full, true);
        disk_guard_saw(sequencer->group, rc);
        return refuse_waiting(sequencer, TEXT_DISK_FULL);
    }
    bool needs_entry;
    struct batch *batches = take_entry(sequencer, &needs_entry);
    uint64_t raised_ms = 0;
    if (!needs_entry) {
        uint64_t now_ms = sequencer_now_for_reads(sequencer);
        raised_ms = raise_clock(sequencer, now_ms);
        needs_entry = wants_clock_entry(sequencer, now_ms, raised_ms);
    }
    if (needs_entry)
        submit(sequencer, batches);
    else
        sequencer_pend_reads(sequencer, batches, raised_ms);
    return true;
}
