/* SPDX-License-Identifier: Apache-2.0 */
/* MULTI, EXEC, DISCARD.
 *
 * Queued commands are kept as they stand in the log. EXEC hands those with data to the group as one
 * command; commands of scope NODE that were queued among them run here when its reply has come, and
 * the two are put together in the order in which they were queued. One that cannot answer at once
 * (CLIENT LIST) has those behind it wait, and the connection with them.
 */
#include "session/multi_internal.h"

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "command/codec.h"
#include "command/transaction.h"

#define TEXT_EXECABORT "EXECABORT Transaction discarded because of previous errors."

static void queued_free(struct queued *queue)
{
    while (queue != NULL) {
        struct queued *next = queue->next;
        buf_fini(&queue->coded);
        mem_free(queue);
        queue = next;
    }
}

void exec_free(struct exec *exec)
{
    if (exec == NULL)
        return;
    queued_free(exec->queue);
    buf_fini(&exec->out);
    buf_fini(&exec->rest);
    mem_free(exec);
}

static struct queued *take_queue(struct session *session)
{
    struct queued *queue = session->queue;
    session->queue = NULL;
    session->queue_last = NULL;
    session->queue_count = 0;
    session->queue_bytes = 0;
    session->in_multi = false;
    session->is_multi_bad = false;
    return queue;
}

void multi_reset(struct session *session)
{
    queued_free(take_queue(session));
    watch_drop_all(session);
}

bool multi_fits_databases(const struct session *session, uint32_t count)
{
    for (const struct queued *queued = session->queue; queued != NULL; queued = queued->next) {
        if (queued->db >= count)
            return false;
    }
    return !session->in_multi || session->multi_db < count;
}

static void refuse_to_queue(struct session *session, const struct command_row *row,
                            struct reply *reply, const char *text)
{
    tally_reject(port_tally(session->host->port), row);
    session->is_multi_bad = true;
    reply_error(reply, text);
}

void multi_queue(struct session *session, const struct command_row *row, const struct slice *argv,
                 uint32_t argc, struct reply *reply)
{
    if ((row->flags & CMD_NO_MULTI) != 0) {
        refuse_to_queue(session, row, reply, "ERR Command not allowed inside a transaction");
        return;
    }
    size_t size = command_coded_size(argv, argc);
    size_t room = session->host->hub->options.max_multi_bytes - session->queue_bytes;
    struct buf coded = {0};
    if (size == 0 || size + sizeof(struct queued) > room || buf_try_reserve(&coded, size) != 0) {
        refuse_to_queue(session, row, reply, "ERR the transaction is larger than max-entry-bytes");
        return;
    }
    struct queued *queued = mem_calloc(1, sizeof(*queued));
    queued->row = row;
    queued->db = session->multi_db;
    queued->coded = coded;
    /* A NODE row has no number: it never leaves this process. Its own name is wanted again. */
    command_encode(buf_extend(&queued->coded, size), row->id, queued->db, argv, argc);
    if (session->queue_last == NULL)
        session->queue = queued;
    else
        session->queue_last->next = queued;
    session->queue_last = queued;
    session->queue_count++;
    session->queue_bytes += size + sizeof(*queued);
    multi_note_select(session, row, argv, argc);
    reply_status(reply, "QUEUED");
}

/* ---- EXEC ---- */

static size_t data_count(const struct queued *queue)
{
    size_t count = 0;
    for (; queue != NULL; queue = queue->next)
        count += queue->row->scope != SCOPE_NODE;
    return count;
}

static bool has_writes(const struct queued *queue)
{
    for (; queue != NULL; queue = queue->next) {
        if ((queue->row->flags & CMD_WRITE) != 0)
            return true;
    }
    return false;
}

struct slice *queued_argv(const struct queued *queued, uint32_t *out_argc)
{
    struct coded_command coded;
    int rc = command_decode(buf_slice(&queued->coded), &coded);
    ASSERT(rc == 0);
    struct slice *argv = mem_calloc(coded.argc, sizeof(*argv));
    command_fill_argv(&coded, argv);
    argv[0] = slice_str(queued->row->parent != NULL ? queued->row->parent : queued->row->name);
    *out_argc = coded.argc;
    return argv;
}

/* Runs a queued NODE command as if it had just been sent. False: it has deferred. */
static bool run_queued(struct pending *pending, const struct queued *queued)
{
    struct session *session = pending->session;
    uint32_t argc;
    struct slice *argv = queued_argv(queued, &argc);
    struct reply reply = reply_to(&pending->exec->out, session->proto);
    session->is_deferred = false;
    session->running_exec = pending;
    tally_start(port_tally(session->host->port));
    session_run_node(session, queued->row, argv, argc, &reply);
    session->running_exec = NULL;
    mem_free(argv);
    return !session->is_deferred;
}

/* Goes on from exec->next; `replies` are the group's to what is left. False: one has deferred. */
static bool exec_run_on(struct pending *pending, struct slice replies)
{
    struct exec *exec = pending->exec;
    while (exec->next != NULL) {
        const struct queued *queued = exec->next;
        exec->next = queued->next;
        if (queued->row->scope != SCOPE_NODE) {
            size_t len = reply_skip(replies);
            ASSERT(len > 0);
            buf_append_slice(&exec->out, slice_sub(replies, 0, len));
            replies = slice_sub(replies, len, SIZE_MAX);
        } else if (!run_queued(pending, queued)) {
            buf_append_slice(&exec->rest, replies);
            return false;
        }
    }
    return true;
}

bool exec_on_reply(struct pending *pending, struct slice reply)
{
    struct exec *exec = pending->exec;
    bool is_array = reply.len > 1 && reply.data[0] == '*' && reply.data[1] != '-';
    if (!is_array) {
        /* Watched keys have changed, or it was refused: nothing runs. */
        buf_append_slice(&exec->out, reply);
        return true;
    }
    size_t count = 0;
    for (const struct queued *queued = exec->queue; queued != NULL; queued = queued->next)
        count++;
    struct reply head = reply_to(&exec->out, pending->proto);
    reply_array(&head, count);
    const uint8_t *line_end = memchr(reply.data, '\n', reply.len);
    ASSERT(line_end != NULL);
    return exec_run_on(pending, slice_sub(reply, (size_t)(line_end - reply.data) + 1, SIZE_MAX));
}

bool exec_on_part(struct pending *pending, struct slice reply)
{
    struct exec *exec = pending->exec;
    buf_append_slice(&exec->out, reply);
    struct buf rest = exec->rest;
    exec->rest = (struct buf){0};
    bool is_whole = exec_run_on(pending, buf_slice(&rest));
    buf_fini(&rest);
    return is_whole;
}

/* About how large the reply to EXEC will be. */
static size_t expected_of(struct session *session, const struct queued *queue)
{
    size_t bytes = 0;
    for (; queue != NULL; queue = queue->next) {
        if (queue->row->scope == SCOPE_NODE)
            continue;
        uint32_t argc;
        struct slice *argv = queued_argv(queue, &argc);
        struct port_request request = {
            .row = queue->row, .argv = argv, .argc = argc, .db = queue->db};
        bytes += port_expected(session->host->port, &request);
        mem_free(argv);
    }
    return bytes;
}

/* What a client that keeps copies is going to read. */
static void note_reads(struct session *session, const struct queued *queue)
{
    for (; queue != NULL; queue = queue->next) {
        uint32_t argc;
        struct slice *argv = queued_argv(queue, &argc);
        tracking_note_read(session, queue->row,
                           &(struct request){.argv = argv, .argc = argc, .db = queue->db});
        mem_free(argv);
    }
}

/* argv of EXEC: name, watched keys, commands. The caller frees it. */
static struct slice *exec_argv(const struct queued *queue, size_t count, struct slice watches)
{
    struct slice *argv = mem_calloc(count + 2, sizeof(*argv));
    argv[0] = SLICE_LIT("exec");
    argv[1] = watches;
    size_t nth = 2;
    for (; queue != NULL; queue = queue->next) {
        if (queue->row->scope != SCOPE_NODE)
            argv[nth++] = buf_slice(&queue->coded);
    }
    ASSERT(nth == count + 2);
    return argv;
}

static struct pending *pending_of_exec(struct session *session, struct queued *queue)
{
    struct pending *pending = pending_new(session, PENDING_EXEC);
    pending->exec = mem_calloc(1, sizeof(*pending->exec));
    pending->exec->queue = queue;
    pending->exec->next = queue;
    return pending;
}

/* The connection waits for what `pending` is to answer. */
static void await(struct session *session, struct pending *pending, enum port_result result)
{
    session->is_deferred = true;
    pending_link(session, pending);
    pending_note_taken(session, pending, result);
}

/* Takes the queue: all of it is of scope NODE. */
static void exec_here(struct session *session, struct queued *queue, struct reply *reply)
{
    struct pending *pending = pending_of_exec(session, queue);
    bool is_whole = exec_on_reply(pending, SLICE_LIT("*0\r\n"));
    session->is_deferred = false;
    tally_after(port_tally(session->host->port),
                &(struct tally_call){.row = session->host->hub->exec_row});
    if (is_whole) {
        buf_append_slice(reply->out, buf_slice(&pending->exec->out));
        pending_release(session->host, pending);
    } else {
        await(session, pending, PORT_TAKEN_ALONE);
    }
}

/* Takes the queue. */
static void submit_exec(struct session *session, struct queued *queue, size_t queue_count,
                        struct reply *reply)
{
    size_t count = data_count(queue);
    bool is_mixed = count < queue_count;
    struct buf watches = {0};
    watch_encode_all(session, &watches);
    struct slice *argv = exec_argv(queue, count, buf_slice(&watches));
    struct pending *pending =
        is_mixed ? pending_of_exec(session, queue) : pending_new(session, PENDING_REPLY);
    struct port_request request = {
        .row = transaction_row(has_writes(queue)),
        .argv = argv,
        .argc = (uint32_t)count + 2,
        .db = session->db,
        .proto = session->proto,
        .must_follow = session->ordering_count > 0,
        .client = session->id,
        .leaves_use = session->is_no_touch,
        .token = pending,
    };
    if (UNLIKELY(session->tracker != NULL))
        note_reads(session, queue);
    enum port_result result = port_execute(session->host->port, &request, reply);
    if (result == PORT_ANSWERED) {
        pending_release(session->host, pending);
    } else {
        await(session, pending, is_mixed ? PORT_TAKEN_ALONE : result);
        pending_expect(session, pending, expected_of(session, queue));
    }
    if (!is_mixed)
        queued_free(queue);
    mem_free(argv);
    buf_fini(&watches);
}

void multi_exec(struct session *session, struct reply *reply)
{
    if (!session->in_multi) {
        reply_error(reply, "ERR EXEC without MULTI");
        return;
    }
    if (session->is_multi_bad) {
        multi_reset(session);
        reply_error(reply, TEXT_EXECABORT);
        return;
    }
    if (!watch_is_untouched(session)) {
        multi_reset(session);
        reply_null_array(reply);
        return;
    }
    monitor_show_queue(session);
    size_t queue_count = session->queue_count;
    struct queued *queue = take_queue(session);
    if (data_count(queue) == 0 && session->watches == NULL) {
        exec_here(session, queue, reply);
        return;
    }
    submit_exec(session, queue, queue_count, reply);
    watch_drop_all(session);
}

/* ---- The commands ---- */

static int run_multi(struct call *call)
{
    struct session *session = call->session;
    if (session->in_multi) {
        reply_error(call->reply, "ERR MULTI calls can not be nested");
        return 0;
    }
    session->in_multi = true;
    session->multi_db = session->db;
    reply_ok(call->reply);
    return 0;
}

static int run_discard(struct call *call)
{
    struct session *session = call->session;
    if (!session->in_multi) {
        reply_error(call->reply, "ERR DISCARD without MULTI");
        return 0;
    }
    multi_reset(session);
    reply_ok(call->reply);
    return 0;
}

static const struct command_row rows[] = {
    {
        .name = "multi",
        .arity = {1, 1},
        .flags =
            CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_ALLOW_BUSY | CMD_IN_MULTI_NOW,
        .scope = SCOPE_NODE,
        .categories = "fast transaction",
        .group = "transactions",
        .since = "1.2.0",
        .complexity = "O(1)",
        .summary = "Starts a transaction.",
        .syntax = "",
        .run = run_multi,
    },
    {
        .name = "discard",
        .arity = {1, 1},
        .flags =
            CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_ALLOW_BUSY | CMD_IN_MULTI_NOW,
        .scope = SCOPE_NODE,
        .categories = "fast transaction",
        .group = "transactions",
        .since = "2.0.0",
        .complexity = "O(N), when N is the number of queued commands",
        .summary = "Discards a transaction.",
        .syntax = "",
        .run = run_discard,
    },
};

const struct command_family multi_family = {
    .name = "multi", .rows = rows, .row_count = ARRAY_COUNT(rows)};
