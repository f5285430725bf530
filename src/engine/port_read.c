/* SPDX-License-Identifier: Apache-2.0 */
/* Reads on the io loop.
 *
 * A point read runs its handler against the keydirs without locks. If what it saw was not one
 * instant it runs again, a few times. If it met a cold value, the value is read in the background:
 *
 * - a command with one key keeps the item that it found (frozen) and answers from that: it has
 * taken effect where it looked, so that the connection's later commands need not wait (R29);
 * - a command with several keys runs anew when all values are there; until then the connection
 *   waits;
 * - a write that needs old values is submitted when they have been read, so that an unreadable
 *   value refuses it cleanly and the shard need not stop for it (R19); so is a read that the shards
 *   execute, behind writes or as a transaction, but for the refusal: what it needs at its place may
 *   be another value.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

#define READ_TRIES        3
#define EXPECTED_OF_WALKS (1024u * 1024)

/* Values on their way for one request. */
struct fetch {
    struct port *port;
    struct buf coded; /* the request's own copy */
    struct port_request request;
    struct slice *argv;
    bool is_frozen;
    bool is_ahead;        /* the values are for the shards, which execute it */
    enum batch_kind kind; /* where it goes then */
    size_t cost;
    size_t missing;
    size_t count;
    int error;
    struct diag diag;
    struct fetch_value {
        struct pool_job job;
        struct fetch *fetch;
        struct tx_want want;
        struct buf key;
        struct buf value;
        int error;
        struct diag diag;
    } * values;
};

static void begin_inline(struct port *port, bool leaves_use)
{
    uint64_t hlc_ms = atomic_load_explicit(&port->group->hlc_ms, memory_order_relaxed);
    uint64_t wall_ms = loop_wall_ms(port->loop);
    tx_begin(port->tx, &(struct tx_begin){.mode = TX_INLINE,
                                          .now_ms = hlc_ms > wall_ms ? hlc_ms : wall_ms,
                                          .leaves_use = leaves_use});
}

/* ---- Warming rows on the shard's thread (R18) ---- */

struct warm {
    struct loop_post post;
    struct store *store;
    struct buf key;
    struct buf value;
    uint16_t db;
    uint64_t now_ms;
    struct position version;
    struct place place;
    struct shard *shard;
};

static void on_warm(struct loop_post *post)
{
    struct warm *warm = CONTAINER_OF(post, struct warm, post);
    /* A lent shard is not ours to change (R20); warmth can wait for the next read. */
    if (warm->shard->state != SHARD_AT_BARRIER)
        store_warm(warm->store, &(struct store_warmth){.key = buf_slice(&warm->key),
                                                       .value = buf_slice(&warm->value),
                                                       .version = warm->version,
                                                       .place = warm->place,
                                                       .now_ms = warm->now_ms,
                                                       .db = warm->db});
    buf_fini(&warm->key);
    buf_fini(&warm->value);
    mem_free(warm);
}

static void send_warm(struct port *port, const struct fetch_value *value)
{
    const struct item *item = &value->want.item;
    if (item->size > port->group->options.hot_max_value)
        return;
    struct shard *shard = &port->group->shards[item->shard];
    struct warm *warm = mem_calloc(1, sizeof(*warm));
    warm->post.run = on_warm;
    warm->shard = shard;
    warm->store = shard->store;
    warm->db = item->db;
    warm->version = item->version;
    warm->place = value->want.place;
    warm->now_ms = loop_wall_ms(port->loop);
    buf_append_slice(&warm->key, buf_slice(&value->key));
    buf_append_slice(&warm->value, buf_slice(&value->value));
    loop_post(shard->loop, &warm->post);
}

/* ---- Fetching ---- */

static void fetch_free(struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->count; i++) {
        buf_fini(&fetch->values[i].key);
        buf_fini(&fetch->values[i].value);
    }
    mem_free(fetch->values);
    mem_free(fetch->argv);
    buf_fini(&fetch->coded);
    mem_free(fetch);
}

static void run_fetch(struct pool_job *job)
{
    struct fetch_value *value = CONTAINER_OF(job, struct fetch_value, job);
    const struct datafile_query query = {
        .off = place_off(value->want.place),
        .key = buf_slice(&value->key),
        .value_size = value->want.item.size,
        .db_id = value->want.item.database_id,
    };
    value->error = datafile_read_value(value->want.file, &query, &value->value, &value->diag);
}

static void finish(struct fetch *fetch);

static void on_fetched(struct pool_job *job)
{
    struct fetch_value *value = CONTAINER_OF(job, struct fetch_value, job);
    struct fetch *fetch = value->fetch;
    datafile_unref(value->want.file);
    if (value->error != 0 && fetch->error == 0) {
        fetch->error = value->error;
        fetch->diag = value->diag;
    }
    if (--fetch->missing == 0)
        finish(fetch);
}

/* Starts reading what the port's transaction wants. */
static void start_values(struct fetch *fetch)
{
    struct port *port = fetch->port;
    fetch->count = tx_want_count(port->tx);
    ASSERT(fetch->count > 0);
    fetch->missing = fetch->count;
    fetch->values = mem_calloc(fetch->count, sizeof(*fetch->values));
    for (size_t i = 0; i < fetch->count; i++) {
        struct fetch_value *value = &fetch->values[i];
        value->fetch = fetch;
        value->want = tx_want_take(port->tx, i);
        buf_append_slice(&value->key, value->want.item.key);
        value->want.item.key = buf_slice(&value->key);
    }
    tx_reset(port->tx);
    port->stats.cold_reads += fetch->count;
    for (size_t i = 0; i < fetch->count; i++)
        pool_submit(port->group->options.pool, POOL_READ, &fetch->values[i].job, port->loop,
                    run_fetch, on_fetched);
}

static struct fetch *fetch_new(struct port *port, const struct port_request *request)
{
    struct fetch *fetch = mem_calloc(1, sizeof(*fetch));
    fetch->port = port;
    fetch->request = *request;
    size_t size = command_coded_size(request->argv, request->argc);
    ASSERT(size > 0); /* as long as what was parsed: below the query buffer's limit */
    command_encode(buf_extend(&fetch->coded, size), request->row->id, request->db, request->argv,
                   request->argc);
    struct coded_command coded;
    int rc = command_decode(buf_slice(&fetch->coded), &coded);
    ASSERT(rc == 0);
    fetch->argv = mem_calloc(coded.argc, sizeof(*fetch->argv));
    command_fill_argv(&coded, fetch->argv);
    fetch->request.argv = fetch->argv;
    fetch->cost = size;
    port->in_flight_bytes += size;
    return fetch;
}

/* Values that were read are kept by the port's transaction for the run that follows. */
static void hand_in(struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->count; i++) {
        struct fetch_value *value = &fetch->values[i];
        const struct item *item = &value->want.item;
        send_warm(fetch->port, value);
        if (fetch->is_frozen)
            tx_put_frozen(fetch->port->tx, item, &value->value);
        else
            tx_put_loaded(fetch->port->tx, item, &value->value);
    }
}

static void answer(struct fetch *fetch, struct slice reply)
{
    struct port *port = fetch->port;
    port->events->on_reply(port->ctx, fetch->request.token, reply);
    port_settle(port, fetch->cost);
    fetch_free(fetch);
}

static void answer_error(struct fetch *fetch, const char *text)
{
    struct buf out = {0};
    struct reply reply = reply_to(&out, fetch->request.proto);
    reply_error(&reply, text);
    answer(fetch, buf_slice(&out));
    buf_fini(&out);
}

/* It has its place, or the reply was an error. */
static void release(struct fetch *fetch, bool is_placed)
{
    struct port *port = fetch->port;
    void *token = fetch->request.token;
    port_settle(port, fetch->cost);
    fetch_free(fetch);
    if (is_placed && port->events->on_placed != NULL)
        port->events->on_placed(port->ctx, token);
}

/* Hands the request on to the shards; its reply comes from there. */
static void pass_on(struct fetch *fetch, enum batch_kind kind)
{
    struct port *port = fetch->port;
    struct involved involved;
    if (!group_involved(port->group, fetch->request.row, fetch->argv, fetch->request.argc,
                        fetch->request.db, &involved) ||
        !port_add_read(port, &fetch->request, &involved, kind)) {
        answer_error(fetch, TEXT_NO_MEMORY);
        return;
    }
    /* The place of a clocked read is not among the ordered ones (R29). */
    release(fetch, kind != BATCH_CLOCK);
}

static void finish_write(struct fetch *fetch)
{
    char text[PORT_TEXT_SIZE];
    struct port *port = fetch->port;
    const char *refusal = port_write(port, &fetch->request, text, sizeof(text));
    if (refusal != NULL) {
        answer_error(fetch, refusal);
        return;
    }
    release(fetch, true);
}

static void note_missed(struct port *port, const struct port_request *request)
{
    const struct event_list *events = tx_events(port->tx);
    for (size_t i = 0; i < events->count; i++)
        event_line_add(&port->missed, events, &events->events[i], request->client);
}

static int run_inline(struct port *port, const struct port_request *request, command_fn run,
                      struct reply *reply)
{
    struct call call = {.row = request->row,
                        .argv = request->argv,
                        .argc = request->argc,
                        .db = request->db,
                        .tx = port->tx,
                        .table = port->group->options.table,
                        .reply = reply};
    bool is_read = (request->row->flags & (CMD_READONLY | CMD_SHOWN_READ)) != 0;
    tx_want_events(port->tx, is_read ? events_wanted(&port->group->events) & EVENT_MISS : 0);
    begin_inline(port, request->leaves_use);
    int rc = run(&call);
    tx_want_events(port->tx, 0);
    if (tx_needs_clock(port->tx))
        return ERR_RETRY;
    if (rc == 0 && !tx_is_valid(port->tx)) {
        port->stats.retries++;
        return ERR_RETRY;
    }
    if (UNLIKELY(tx_events(port->tx)->count > 0) && rc == 0)
        note_missed(port, request);
    return rc;
}

/* A read that was answered here. */
static void count_read(struct port *port, const struct port_request *request, struct slice reply)
{
    struct tx_lookups lookups = tx_lookups(port->tx);
    tally_lookups(port->tally, lookups.found, lookups.missed);
    tally_after(port->tally, &(struct tally_call){.row = request->row,
                                                  .argv = request->argv,
                                                  .argc = request->argc,
                                                  .size = reply.len,
                                                  .reply = reply});
}

static void finish_read(struct fetch *fetch)
{
    struct port *port = fetch->port;
    struct buf out = {0};
    struct reply reply = reply_to(&out, fetch->request.proto);
    hand_in(fetch);
    tally_start(port->tally);
    tally_before(port->tally, fetch->request.row, 0);
    int rc = run_inline(port, &fetch->request, fetch->request.row->run, &reply);
    bool needs_clock = tx_needs_clock(port->tx);
    if (rc == 0) {
        count_read(port, &fetch->request, buf_slice(&out));
        tally_split(port->tally);
        port_tell_slow(port, tally_take_slow(port->tally), fetch->request.token);
    }
    if (rc != ERR_COLD)
        tx_reset(port->tx);
    if (rc == 0)
        answer(fetch, buf_slice(&out));
    else if (rc == ERR_COLD || rc == ERR_RETRY) {
        /* A row was replaced meanwhile: rare enough to let the shards do it. */
        tx_reset(port->tx);
        pass_on(fetch, needs_clock ? BATCH_CLOCK : BATCH_URGENT);
    } else
        answer_error(fetch, err_text(rc));
    buf_fini(&out);
}

static void finish_ahead(struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->count; i++) {
        if (fetch->values[i].error == 0)
            send_warm(fetch->port, &fetch->values[i]);
    }
    if ((fetch->request.row->flags & CMD_WRITE) != 0)
        finish_write(fetch);
    else
        pass_on(fetch, fetch->kind);
}

static void finish(struct fetch *fetch)
{
    bool is_read_ahead = fetch->is_ahead && (fetch->request.row->flags & CMD_WRITE) == 0;
    if (fetch->error != 0 && !is_read_ahead) {
        char text[DIAG_SIZE + 8];
        group_log(fetch->port->group, '#', "a value cannot be read: %s", fetch->diag.text);
        snprintf(text, sizeof(text), "ERR %s", fetch->diag.text);
        answer_error(fetch, text);
    } else if (fetch->is_ahead) {
        finish_ahead(fetch);
    } else {
        finish_read(fetch);
    }
}

/* ---- Entry points ---- */

static bool has_one_key(const struct command_row *row)
{
    return row->keys.kind == KEY_RULE_RANGE && row->keys.first == row->keys.last;
}

enum read_outcome port_read_now(struct port *port, const struct port_request *request,
                                struct reply *reply)
{
    size_t mark = reply->out->len;
    tally_before(port->tally, request->row, 0);
    for (unsigned attempt = 0; attempt < READ_TRIES; attempt++) {
        int rc = run_inline(port, request, request->row->run, reply);
        if (LIKELY(rc == 0)) {
            count_read(port, request, slice_sub(buf_slice(reply->out), mark, SIZE_MAX));
            tx_end_inline(port->tx);
            port->stats.inline_reads++;
            return READ_DONE;
        }
        reply->out->len = mark;
        if (tx_needs_clock(port->tx)) {
            tx_reset(port->tx);
            return READ_NEEDS_CLOCK;
        }
        if (rc == ERR_COLD) {
            struct fetch *fetch = fetch_new(port, request);
            fetch->is_frozen = has_one_key(request->row);
            start_values(fetch);
            return fetch->is_frozen ? READ_COLD_FROZEN : READ_COLD_ALONE;
        }
        if (rc != ERR_RETRY) {
            const struct diag *diag = tx_diag(port->tx);
            group_log(port->group, '#', "a value cannot be read: %s", diag->text);
            reply_errorf(reply, "ERR %s", diag->text);
            tx_reset(port->tx);
            return READ_DONE;
        }
        tx_reset(port->tx);
    }
    return READ_TORN;
}

bool port_peek(struct port *port, const struct port_request *request, struct reply *reply)
{
    size_t mark = reply->out->len;
    tally_before(port->tally, request->row, 0);
    int rc = run_inline(port, request, request->row->peek, reply);
    if (rc == 0) {
        count_read(port, request, slice_sub(buf_slice(reply->out), mark, SIZE_MAX));
        tx_end_inline(port->tx);
        port->stats.inline_reads++;
        return true;
    }
    reply->out->len = mark;
    tx_reset(port->tx);
    return false;
}

struct cold_search {
    struct port *port;
    bool is_cold;
    int error; /* of the first value that cannot be read */
    struct diag diag;
};

static void look_for_cold(void *ctx, uint16_t db, struct slice key)
{
    struct cold_search *search = ctx;
    struct item item;
    struct slice value;
    if (tx_peek(search->port->tx, db, key, &item) != 0 || item.type == VALUE_NONE)
        return;
    int rc = tx_load(search->port->tx, &item, &value);
    if (rc == ERR_COLD) {
        search->is_cold = true;
    } else if (rc != 0 && search->error == 0) {
        search->error = rc;
        search->diag = *tx_diag(search->port->tx);
    }
}

static void reply_unreadable(struct port *port, struct reply *reply, const struct diag *diag)
{
    group_log(port->group, '#', "a value cannot be read: %s", diag->text);
    reply_errorf(reply, "ERR %s", diag->text);
}

enum prefetch_outcome port_prefetch(struct port *port, const struct port_request *request,
                                    enum batch_kind kind, struct reply *reply)
{
    bool is_write = (request->row->flags & CMD_WRITE) != 0;
    bool may_be_cold = false;
    for (uint32_t i = 0; i < port->group->stores.count; i++)
        may_be_cold |= store_has_cold(port->group->stores.shards[i]);
    if (!may_be_cold)
        return PREFETCH_NOTHING;
    struct cold_search search = {.port = port};
    begin_inline(port, true);
    enum keys_found found = command_keys(
        port->group->options.table, request->row,
        &(struct request){.argv = request->argv, .argc = request->argc, .db = request->db},
        look_for_cold, &search);
    bool is_refused = is_write && search.error != 0;
    if (found != KEYS_MALFORMED && !is_refused && search.is_cold) {
        struct fetch *fetch = fetch_new(port, request);
        fetch->is_ahead = true;
        fetch->kind = kind;
        start_values(fetch);
        return PREFETCH_TAKEN;
    }
    tx_reset(port->tx);
    if (!is_refused)
        return PREFETCH_NOTHING;
    reply_unreadable(port, reply, &search.diag);
    return PREFETCH_REFUSED;
}

int port_version_of(struct port *port, uint16_t db, struct slice key,
                    struct port_version *out_version)
{
    struct item item;
    begin_inline(port, true);
    int rc = tx_peek(port->tx, db, key, &item);
    if (rc == 0 && !tx_is_valid(port->tx))
        rc = ERR_RETRY;
    if (rc == 0)
        *out_version =
            (struct port_version){.version = item.type == VALUE_NONE ? 0 : item.version.word,
                                  .database_id = item.database_id};
    tx_reset(port->tx);
    return rc;
}

struct expectation {
    struct tx *tx;
    size_t bytes;
};

static void add_expected(void *ctx, uint16_t db, struct slice key)
{
    struct expectation *sum = ctx;
    struct item item;
    if (tx_peek(sum->tx, db, key, &item) == 0 && item.type != VALUE_NONE)
        sum->bytes += item.size;
}

size_t port_expected(struct port *port, const struct port_request *request)
{
    const struct command_row *row = request->row;
    if (row->scope == SCOPE_ALL && (row->flags & (CMD_READONLY | CMD_FAST)) == CMD_READONLY)
        return EXPECTED_OF_WALKS;
    if ((row->flags & CMD_SHOWS_VALUE) == 0)
        return 0;
    struct expectation sum = {.tx = port->tx};
    begin_inline(port, true);
    struct request asked = {.argv = request->argv, .argc = request->argc, .db = request->db};
    if (command_keys(port->group->options.table, row, &asked, add_expected, &sum) == KEYS_MALFORMED)
        sum.bytes = 0;
    tx_reset(port->tx);
    return sum.bytes;
}

void port_note_watched(struct port *port, struct watched_note *note, uint16_t db, struct slice key)
{
    const struct stores *stores = &port->group->stores;
    store_note_watched(stores->shards[stores_shard_of(stores, key)], note, db, key);
}
