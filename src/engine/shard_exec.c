/* SPDX-License-Identifier: Apache-2.0 */
/* Running one op of a round: decode, transaction, handler, publication, reply. */
#include "base/assert.h"
#include "base/broken.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

/* ---- Replies ---- */

void reply_batch_free(struct reply_batch *batch)
{
    while (batch->slow != NULL) {
        struct slow_command *next = batch->slow->next;
        slow_command_free(batch->slow);
        batch->slow = next;
    }
    buf_fini(&batch->bytes);
    mem_free(batch->entries);
    mem_free(batch);
}

static struct reply_batch *reply_batch_of(struct shard *shard, struct port *port)
{
    for (struct reply_batch *batch = shard->replies; batch != NULL; batch = batch->next) {
        if (batch->port == port)
            return batch;
    }
    struct reply_batch *batch = mem_calloc(1, sizeof(*batch));
    batch->port = port;
    batch->slow_end = &batch->slow;
    batch->post.run = port_on_replies;
    batch->next = shard->replies;
    shard->replies = batch;
    return batch;
}

static void add_reply(struct reply_batch *batch, const struct op *op, size_t off)
{
    if (batch->count == batch->cap) {
        batch->cap = batch->cap == 0 ? 64 : batch->cap * 2;
        batch->entries = mem_realloc(batch->entries, batch->cap * sizeof(*batch->entries));
    }
    batch->entries[batch->count++] = (struct reply_entry){
        .token = op->token, .off = off, .len = batch->bytes.len - off, .cost = op->size};
}

void shard_post_replies(struct shard *shard)
{
    /* A lent shard's line belongs to whoever it is lent to (R20). */
    if (shard->state != SHARD_AT_BARRIER)
        event_line_post(shard_events(shard->group, shard->idx));
    while (shard->replies != NULL) {
        struct reply_batch *batch = shard->replies;
        shard->replies = batch->next;
        batch->next = NULL;
        loop_post(batch->port->loop, &batch->post);
    }
}

/* ---- Events ---- */

struct event_line *shard_events(struct group *group, uint32_t idx)
{
    return &group->shards[group->options.shard_loop_count == 1 ? 0 : idx].events;
}

static void note_events(struct shard *shard, const struct op *op)
{
    const struct event_list *events = tx_events(shard->tx);
    for (size_t i = 0; i < events->count; i++) {
        const struct event *event = &events->events[i];
        event_line_add(shard_events(shard->group, event->shard), events, event, op->client);
    }
}

/* Behind what an op has published, which was run for those who wanted events at its beginning. Who
 * has begun to keep copies since may have read what was there before, and is told to forget it all.
 * Who begins later sees what has been published: the word is looked at only now, and whoever sets
 * it has all threads held up for a moment before the first read. */
static void tell_newcomers(struct shard *shard, unsigned wanted)
{
    unsigned now = atomic_load(&shard->group->events.wanted);
    if (LIKELY((now & ~wanted & EVENT_FLUSHED) == 0))
        return;
    static const struct event_list nothing;
    event_line_add(shard_events(shard->group, shard->idx), &nothing,
                   &(struct event){.name = "", .class = EVENT_FLUSHED}, 0);
}

void shard_on_expired(void *ctx, uint16_t db, struct slice key)
{
    struct shard *shard = ctx;
    unsigned wanted = events_wanted(&shard->group->events);
    if (LIKELY((wanted & (EVENT_EXPIRED | EVENT_TOUCHED)) == 0) ||
        group_state(shard->group) == GROUP_REPLAYING)
        return;
    struct event_list one = {0};
    if ((wanted & EVENT_EXPIRED) != 0)
        event_list_add(&one, &(struct event){.name = "expired", .class = EVENT_EXPIRED, .db = db},
                       key);
    if ((wanted & EVENT_TOUCHED) != 0)
        event_list_add(&one, &(struct event){.name = "", .class = EVENT_TOUCHED, .db = db}, key);
    for (size_t i = 0; i < one.count; i++)
        event_line_add(shard_events(shard->group, shard->idx), &one, &one.events[i], 0);
    event_list_fini(&one);
}

/* ---- Cold values (R19) ---- */

struct cold_load {
    struct pool_job job;
    struct cold_load *next;
    struct shard *shard;
    struct op *op;
    struct tx_want want;
    struct buf value;
    int error;
    struct diag diag;
};

static void run_load(struct pool_job *job)
{
    struct cold_load *load = CONTAINER_OF(job, struct cold_load, job);
    const struct datafile_query query = {
        .off = place_off(load->want.place),
        .key = load->want.item.key,
        .value_size = load->want.item.size,
        .db_id = load->want.item.database_id,
    };
    load->error = datafile_read_value(load->want.file, &query, &load->value, &load->diag);
}

/* Of a logged command neither skipped nor answered as failed: another copy may be good (R19). A
 * read is answered with what is wrong. */
static void note_unreadable(struct shard *shard, const struct cold_load *load)
{
    if ((load->op->flags & OP_LOGGED) != 0)
        group_fail(shard->group,
                   "a value that a command needs cannot be read: %s. Nothing acknowledged is lost; "
                   "check the disk, then restore the file or start from a backup",
                   load->diag.text);
    shard->cold_error = load->error;
    shard->cold_diag = load->diag;
}

static void on_loaded(struct pool_job *job)
{
    struct cold_load *load = CONTAINER_OF(job, struct cold_load, job);
    struct shard *shard = load->shard;
    const struct item *item = &load->want.item;
    if (load->error != 0) {
        note_unreadable(shard, load);
    } else {
        store_warm(shard->group->stores.shards[item->shard],
                   &(struct store_warmth){.key = item->key,
                                          .value = buf_slice(&load->value),
                                          .version = item->version,
                                          .place = load->want.place,
                                          .now_ms = tx_time_ms(shard->tx),
                                          .db = item->db});
        tx_put_loaded(shard->tx, item, &load->value);
    }
    if (--shard->cold_missing == 0)
        shard->state = SHARD_RUNNING;
    datafile_unref(load->want.file);
    buf_fini(&load->value);
    mem_free(load);
}

static void start_loads(struct shard *shard, struct op *op)
{
    size_t count = tx_want_count(shard->tx);
    ASSERT(count > 0);
    shard->state = SHARD_AT_COLD;
    shard->cold_missing = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct cold_load *load = mem_calloc(1, sizeof(*load));
        load->shard = shard;
        load->op = op;
        load->want = tx_want_take(shard->tx, i);
        pool_submit(shard->group->options.pool, POOL_READ, &load->job, shard->loop, run_load,
                    on_loaded);
    }
}

/* ---- One op ---- */

static struct slice coded_bytes(const struct op *op, const struct round *round)
{
    const uint8_t *base = (op->flags & OP_LOGGED) != 0 ? round->frame->data : op->batch->side.data;
    return slice_of(base + op->off, op->size);
}

static void fill_call(struct shard *shard, const struct op *op, const struct round *round,
                      struct call *call)
{
    struct coded_command coded;
    int rc = command_decode(coded_bytes(op, round), &coded);
    ASSERT(rc == 0); /* encoded by us, or checked when the round was made from the log */
    if (coded.argc > shard->argv_cap) {
        shard->argv_cap = coded.argc < 16 ? 16 : coded.argc;
        shard->argv = mem_realloc(shard->argv, shard->argv_cap * sizeof(*shard->argv));
    }
    command_fill_argv(&coded, shard->argv);
    *call = (struct call){.row = op->row,
                          .argv = shard->argv,
                          .argc = coded.argc,
                          .db = coded.db,
                          .table = shard->group->options.table,
                          .tx = shard->tx};
}

/* The read met a key of which only a raised clock can tell whether it has expired: it takes a new
 * place, behind everything stamped so far (R22). That is for what the sequencer could not foresee:
 * nothing was written for a second, and the shards had not published that a key was due. */
static void requeue_clocked(const struct op *op, const struct round *round)
{
    struct batch *batch = batch_new(op->batch->port, BATCH_CLOCK);
    struct op *again = batch_add_op(batch);
    again->row = op->row;
    again->token = op->token;
    again->shards = op->shards;
    again->client = op->client;
    again->flags = (uint16_t)(op->flags & OP_LEAVES_USE);
    again->proto = op->proto;
    again->size = op->size;
    buf_append_slice(&batch->side, coded_bytes(op, round));
    batch->post.run = sequencer_on_batch;
    loop_post(round->group->sequencer.loop, &batch->post);
}

static void reply_failure(struct shard *shard, struct op *op, int error, const struct diag *diag)
{
    if ((op->flags & OP_LOGGED) != 0) {
        group_fail(shard->group, "a committed command cannot be executed: %s (%s)", diag->text,
                   err_text(error));
        return;
    }
    struct reply_batch *batch = reply_batch_of(shard, op->batch->port);
    size_t off = batch->bytes.len;
    struct reply reply = reply_to(&batch->bytes, op->proto);
    group_log(shard->group, '#', "a read failed: %s", diag->text);
    reply_errorf(&reply, "ERR %s", diag->text[0] == '\0' ? err_text(error) : diag->text);
    add_reply(batch, op, off);
}

static struct tx_begin begin_of(const struct round *round, const struct op *op)
{
    bool is_logged = (op->flags & OP_LOGGED) != 0;
    return (struct tx_begin){
        .mode = is_logged ? TX_APPLY : TX_READ,
        .time_ms = round->time_ms,
        .now_ms = round->now_ms,
        .position = position_of(is_logged ? round->index : 0, is_logged ? op->ordinal : 0),
        .leaves_use = (op->flags & OP_LEAVES_USE) != 0,
    };
}

/* ---- Counting ---- */

static void count_done(struct shard *shard, const struct op *op, struct reply_batch *batch,
                       const struct call *call, size_t off)
{
    struct tally *tally = shard->tally;
    struct slice reply = slice_sub(buf_slice(&batch->bytes), off, SIZE_MAX);
    if ((op->row->flags & CMD_INTERNAL) != 0)
        tally_keep_inner(tally);
    struct tx_lookups lookups = tx_lookups(shard->tx);
    tally_lookups(tally, lookups.found, lookups.missed);
    tally_after(tally, &(struct tally_call){.row = op->row,
                                            .argv = call->argv,
                                            .argc = call->argc,
                                            .size = op->size > reply.len ? op->size : reply.len,
                                            .reply = reply});
    struct slow_command *slow = tally_take_slow(tally);
    while (UNLIKELY(slow != NULL)) {
        struct slow_command *next = slow->next;
        slow->token = op->token;
        slow->next = NULL;
        *batch->slow_end = slow;
        batch->slow_end = &slow->next;
        slow = next;
    }
}

/* The read that the shard was parked at has met a value that cannot be read. */
static void give_up_read(struct shard *shard, struct op *op)
{
    reply_failure(shard, op, shard->cold_error, &shard->cold_diag);
    shard->cold_error = 0;
    tx_reset(shard->tx);
}

static void commit(struct shard *shard, unsigned wanted, bool is_replay)
{
    tx_commit(shard->tx);
    if (!is_replay)
        tell_newcomers(shard, wanted);
}

enum exec_result shard_execute(struct shard *shard, const struct round *round, struct op *op)
{
    struct call call;
    if (UNLIKELY(shard->cold_error != 0)) {
        give_up_read(shard, op);
        return EXEC_DONE;
    }
    fill_call(shard, op, round, &call);
    struct tx_begin begin = begin_of(round, op);
    bool is_replay = op->batch->port == NULL;
    unsigned wanted = is_replay ? 0 : events_wanted(&shard->group->events);
    tx_want_events(shard->tx, wanted);
    tx_begin(shard->tx, &begin);
    struct reply_batch *batch = is_replay ? NULL : reply_batch_of(shard, op->batch->port);
    struct buf *out = is_replay ? &shard->scratch : &batch->bytes;
    size_t off = out->len;
    struct reply reply = reply_to(out, op->proto);
    call.reply = &reply;
    if (!is_replay) {
        call.tally = shard->tally;
        tally_before(shard->tally, op->row, op->size);
        tx_count_lookups(shard->tx, (op->row->flags & (CMD_READONLY | CMD_COUNTS_READS)) != 0);
    }
    int rc = op->row->run(&call);
    if (rc == ERR_COLD) {
        out->len = off;
        start_loads(shard, op);
        return EXEC_PARKED;
    }
    bool is_done = rc == 0 && !(begin.mode == TX_READ && tx_needs_clock(shard->tx));
    if (is_done && begin.mode == TX_APPLY)
        commit(shard, wanted, is_replay);
    if (is_done && UNLIKELY(tx_events(shard->tx)->count > 0))
        note_events(shard, op);
    if (is_done && !is_replay) {
        count_done(shard, op, batch, &call, off);
        add_reply(batch, op, off);
    }
    if (!is_done)
        out->len = off;
    if (is_replay)
        buf_reset(out, 4096);
    if (!is_done && begin.mode == TX_READ && tx_needs_clock(shard->tx))
        requeue_clocked(op, round);
    else if (!is_done)
        reply_failure(shard, op, rc, tx_diag(shard->tx));
    tx_reset(shard->tx);
    return EXEC_DONE;
}
