/* SPDX-License-Identifier: Apache-2.0 */
/* The port gathers a turn's writes into one frame and answers point reads on the spot.
 *
 * Where port and sequencer share a loop, the sequencer pulls the gathered batch when it has a slot
 * for it, so that everything that has come until then rides along. From another loop the batch is
 * posted when the one before has been submitted.
 */
#include "engine/port.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/broken.h"
#include "base/mem.h"
#include "command/args.h"
#include "command/transaction.h"
#include "engine/engine_internal.h"

#define FIRST_FRAME_BYTES 4096

/* ---- Gathering ---- */

static struct batch *gather(struct port *port, enum batch_kind kind)
{
    struct batch **slot = kind == BATCH_ORDERED  ? &port->ordered
                          : kind == BATCH_URGENT ? &port->urgent
                                                 : &port->clocked;
    if (*slot == NULL) {
        *slot = batch_new(port, kind);
        (*slot)->post.run = sequencer_on_batch;
    }
    return *slot;
}

static void send(struct port *port, struct batch **slot)
{
    struct batch *batch = *slot;
    if (batch == NULL)
        return;
    *slot = NULL;
    if (batch->kind == BATCH_ORDERED) {
        atomic_fetch_add(&port->waiting_batches, 1);
        if (batch->frame != NULL)
            port->frame_hint = batch->frame->size;
    }
    /* The sequencer of this very loop pulls what is gathered later: a post would come behind it. */
    if (port->loop == port->group->sequencer.loop)
        sequencer_on_batch(&batch->post);
    else
        loop_post(port->group->sequencer.loop, &batch->post);
}

struct batch *port_take_ordered(struct port *port)
{
    struct batch *batch = port->ordered;
    if (batch != NULL && batch->frame != NULL)
        port->frame_hint = batch->frame->size;
    port->ordered = NULL;
    return batch;
}

static bool run_phase(struct loop_phase *phase)
{
    struct port *port = CONTAINER_OF(phase, struct port, phase);
    port_look_settled(port);
    event_line_post(&port->missed);
    bool did = port->urgent != NULL || port->clocked != NULL;
    send(port, &port->urgent);
    send(port, &port->clocked);
    if (port->loop != port->group->sequencer.loop && port->ordered != NULL &&
        atomic_load(&port->waiting_batches) == 0) {
        send(port, &port->ordered);
        did = true;
    }
    return did;
}

static void on_pull(struct loop_post *post)
{
    /* Running it as a post has woken the loop: the phase does the rest. */
    struct port *port = CONTAINER_OF(post, struct port, pull);
    atomic_store(&port->is_pull_posted, false);
}

void port_on_submitted(struct port *port)
{
    if (atomic_fetch_sub(&port->waiting_batches, 1) == 1 &&
        !atomic_exchange(&port->is_pull_posted, true))
        loop_post(port->loop, &port->pull);
}

/* Room for one more command of `size` bytes in the ordered batch's frame; a batch that has grown to
 * its limit is sent first. NULL when memory is out. */
static struct batch *batch_with_room(struct port *port, size_t size)
{
    struct batch *batch = gather(port, BATCH_ORDERED);
    size_t max = port->group->options.max_entry_bytes;
    if (batch->logged_count == ENTRY_MAX_COMMANDS ||
        (batch->logged_count > 0 && batch_frame_size(batch) + size > max)) {
        send(port, &port->ordered);
        batch = gather(port, BATCH_ORDERED);
    }
    if (batch->frame == NULL) {
        size_t room = port->frame_hint > FIRST_FRAME_BYTES ? port->frame_hint : FIRST_FRAME_BYTES;
        batch->frame = frame_new(room > size ? room : size + ENTRY_PREFIX_SIZE);
        if (batch->frame == NULL)
            return NULL;
        batch->frame->size = FRAME_PAYLOAD_OFF + ENTRY_PREFIX_SIZE;
    }
    return frame_reserve(batch->frame, size) == 0 ? batch : NULL;
}

static void set_op(struct op *op, const struct port_request *request,
                   const struct involved *involved, size_t size)
{
    op->row = request->row;
    op->token = request->token;
    op->shards = involved->shards;
    op->hash = involved->hash;
    op->client = request->client;
    op->flags = request->leaves_use ? OP_LEAVES_USE : 0;
    op->db = request->db;
    op->proto = request->proto;
    op->size = (uint32_t)size;
}

static void charge(struct port *port, size_t size)
{
    port->in_flight_bytes += size;
}

bool port_add_write(struct port *port, const struct port_request *request,
                    const struct involved *involved, size_t size)
{
    struct batch *batch = batch_with_room(port, size);
    if (batch == NULL)
        return false;
    struct frame *frame = batch->frame;
    struct op *op = batch_add_op(batch);
    set_op(op, request, involved, size);
    op->flags |= OP_LOGGED;
    op->off = (uint32_t)frame->size;
    op->ordinal = (uint16_t)batch->logged_count++;
    command_encode(frame->data + frame->size, request->row->id, request->db, request->argv,
                   request->argc);
    frame->size += size;
    charge(port, size);
    port->stats.writes++;
    return true;
}

bool port_add_read(struct port *port, const struct port_request *request,
                   const struct involved *involved, enum batch_kind kind)
{
    size_t size = command_coded_size(request->argv, request->argc);
    struct batch *batch = gather(port, kind);
    if (size == 0 || buf_try_reserve(&batch->side, size) != 0)
        return false;
    struct op *op = batch_add_op(batch);
    set_op(op, request, involved, size);
    op->off = (uint32_t)batch->side.len;
    command_encode(buf_extend(&batch->side, size), request->row->id, request->db, request->argv,
                   request->argc);
    charge(port, size);
    port->stats.queued_reads++;
    return true;
}

/* ---- Executing ---- */

/* Why nothing, or nothing that may grow, can be written now; NULL if it can. */
static const char *write_refusal(const struct port *port, bool may_grow, char *text,
                                 size_t text_size)
{
    const struct group *group = port->group;
    if (group_state(group) == GROUP_STOPPING || group_state(group) == GROUP_STOPPED)
        return TEXT_STOPPING;
    if (atomic_load_explicit(&group->log_error, memory_order_relaxed) != 0)
        return TEXT_LOG_FAILED;
    if (atomic_load_explicit(&group->is_disk_full, memory_order_relaxed))
        return TEXT_DISK_FULL;
    if (atomic_load_explicit(&group->shards_failing, memory_order_relaxed) != 0)
        return TEXT_DATA_FULL;
    if (may_grow && disk_guard_is_pressed(&group->disk)) { /* R13 */
        disk_guard_refusal(group, text, text_size);
        return text;
    }
    return NULL;
}

const char *port_write(struct port *port, const struct port_request *request, char *text,
                       size_t text_size)
{
    bool may_grow =
        command_may_grow(port->group->options.table, request->row, request->argv, request->argc);
    const char *refusal = write_refusal(port, may_grow, text, text_size);
    if (refusal != NULL)
        return refusal;
    size_t size = command_coded_size(request->argv, request->argc);
    size_t max = port->group->options.max_entry_bytes;
    if (size == 0 || size + FRAME_PAYLOAD_OFF + ENTRY_PREFIX_SIZE > max) {
        snprintf(text, text_size,
                 "ERR command of %zu bytes is larger than max-entry-bytes (%zu): send smaller ones",
                 size, max);
        return text;
    }
    struct involved involved;
    if (!group_involved(port->group, request->row, request->argv, request->argc, request->db,
                        &involved))
        return TEXT_BAD_KEYS;
    if (!port_add_write(port, request, &involved, size))
        return TEXT_NO_MEMORY;
    port->ordered->may_grow |= may_grow;
    return NULL;
}

/* `text`, NULL: the reply is written already. */
static enum port_result refuse(struct port *port, const struct port_request *request,
                               struct reply *reply, const char *text)
{
    tally_reject(port->tally, request->row);
    if (text != NULL)
        reply_error(reply, text);
    return PORT_ANSWERED;
}

static enum port_result execute_write(struct port *port, const struct port_request *request,
                                      struct reply *reply)
{
    if (request->row->peek != NULL && !request->must_follow && port_peek(port, request, reply))
        return PORT_ANSWERED;
    if ((request->row->flags & CMD_LOADS_VALUE) != 0) {
        enum prefetch_outcome outcome = port_prefetch(port, request, BATCH_ORDERED, reply);
        if (outcome == PREFETCH_REFUSED)
            return refuse(port, request, reply, NULL);
        if (outcome == PREFETCH_TAKEN)
            return PORT_TAKEN_ALONE;
    }
    char text[PORT_TEXT_SIZE];
    const char *refusal = port_write(port, request, text, sizeof(text));
    return refusal == NULL ? PORT_TAKEN : refuse(port, request, reply, refusal);
}

static enum port_result queue_read(struct port *port, const struct port_request *request,
                                   enum batch_kind kind, struct reply *reply)
{
    struct involved involved;
    const char *refusal = NULL;
    if (!group_involved(port->group, request->row, request->argv, request->argc, request->db,
                        &involved))
        refusal = TEXT_BAD_KEYS;
    else if (!port_add_read(port, request, &involved, kind))
        refusal = TEXT_NO_MEMORY;
    return refusal == NULL ? PORT_TAKEN : refuse(port, request, reply, refusal);
}

/* A read that is executed by the shards. What it needs of a disk is read before, so that nobody
 * else waits for that there. */
static enum port_result place_read(struct port *port, const struct port_request *request,
                                   enum batch_kind kind, struct reply *reply)
{
    if ((request->row->flags & (CMD_SHOWS_VALUE | CMD_LOADS_VALUE)) != 0 &&
        port_prefetch(port, request, kind, reply) == PREFETCH_TAKEN)
        return PORT_TAKEN_ALONE;
    return queue_read(port, request, kind, reply);
}

enum port_result port_execute(struct port *port, const struct port_request *request,
                              struct reply *reply)
{
    if (UNLIKELY(group_state(port->group) == GROUP_REPLAYING))
        return refuse(port, request, reply, TEXT_LOADING);
    unsigned flags = request->row->flags;
    if ((flags & CMD_WRITE) != 0)
        return execute_write(port, request, reply);
    bool must_follow = request->must_follow && !BROKEN(READ_NOT_QUEUED);
    if (must_follow)
        return place_read(port, request, BATCH_ORDERED, reply);
    if ((flags & CMD_POINT) == 0)
        return place_read(port, request, BATCH_URGENT, reply);
    switch (port_read_now(port, request, reply)) {
    case READ_DONE:
        return PORT_ANSWERED;
    case READ_COLD_FROZEN:
        return PORT_TAKEN_FREE;
    case READ_COLD_ALONE:
        return PORT_TAKEN_ALONE;
    case READ_NEEDS_CLOCK:
        /* Its place is not among the ordered ops: nothing of the connection may pass it (R29). */
        return queue_read(port, request, BATCH_CLOCK, reply) == PORT_TAKEN ? PORT_TAKEN_ALONE
                                                                           : PORT_ANSWERED;
    case READ_TORN:
        return queue_read(port, request, BATCH_URGENT, reply);
    default:
        UNREACHABLE("all outcomes of a read are listed");
    }
}

bool port_has_room(const struct port *port)
{
    return port->in_flight_bytes == 0 || port->in_flight_bytes < port->max_in_flight_bytes;
}

/* ---- Answers ---- */

void port_settle(struct port *port, size_t cost)
{
    ASSERT(port->in_flight_bytes >= cost);
    bool had_room = port_has_room(port);
    port->in_flight_bytes -= cost;
    if (!had_room && port_has_room(port))
        port->events->on_room(port->ctx);
}

void port_on_replies(struct loop_post *post)
{
    struct reply_batch *batch = CONTAINER_OF(post, struct reply_batch, post);
    struct port *port = batch->port;
    size_t cost = 0;
    port_tell_slow(port, batch->slow, NULL);
    batch->slow = NULL;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct reply_entry *entry = &batch->entries[i];
        cost += entry->cost;
        port->events->on_reply(port->ctx, entry->token,
                               slice_of(batch->bytes.data + entry->off, entry->len));
    }
    port_settle(port, cost);
    reply_batch_free(batch);
}

void port_post_error(struct port *port, void *token, uint32_t cost, const char *text)
{
    struct reply_batch *batch = mem_calloc(1, sizeof(*batch));
    batch->port = port;
    batch->post.run = port_on_replies;
    batch->entries = mem_calloc(1, sizeof(*batch->entries));
    batch->count = 1;
    struct reply reply = reply_to(&batch->bytes, 2);
    reply_error(&reply, text);
    batch->entries[0] =
        (struct reply_entry){.token = token, .off = 0, .len = batch->bytes.len, .cost = cost};
    loop_post(port->loop, &batch->post);
}

/* ---- Life ---- */

void port_set_events(struct port *port, const struct port_events *events, void *ctx)
{
    port->events = events;
    port->ctx = ctx;
}

struct group *port_group(struct port *port)
{
    return port->group;
}

struct tally *port_tally(struct port *port)
{
    return port->tally;
}

void port_tell_slow(struct port *port, struct slow_command *slow, void *token)
{
    while (slow != NULL) {
        struct slow_command *next = slow->next;
        if (token != NULL)
            slow->token = token;
        if (port->events->on_slow != NULL)
            port->events->on_slow(port->ctx, slow);
        else
            slow_command_free(slow);
        slow = next;
    }
}

struct port_stats port_stats(const struct port *port)
{
    struct port_stats stats = port->stats;
    stats.in_flight_bytes = port->in_flight_bytes;
    return stats;
}

void port_init(struct port *port, struct group *group, uint32_t idx, struct loop *loop)
{
    *port = (struct port){.group = group, .idx = idx, .loop = loop};
    port->tx = tx_new(&group->stores);
    port->tally = tally_new(group->options.table, group->options.os.clock, &group->tally_settings);
    port->pull.run = on_pull;
    port->missed.group = group;
    port->max_in_flight_bytes = group->options.max_in_flight_bytes / group->options.io_loop_count;
}

void port_start(struct port *port)
{
    loop_phase_add(port->loop, &port->phase, run_phase, PHASE_PORT);
}

void port_stop(struct port *port)
{
    loop_phase_del(port->loop, &port->phase);
}

void port_fini(struct port *port)
{
    event_line_fini(&port->missed);
    batch_free(port->ordered);
    batch_free(port->urgent);
    batch_free(port->clocked);
    tx_free(port->tx);
    tally_free(port->tally);
}
