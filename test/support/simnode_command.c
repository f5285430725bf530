/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on their way through a simulated node's port, in the order of their connections. */
#include "base/assert.h"
#include "base/mem.h"
#include "command/codec.h"
#include "command/transaction.h"
#include "support/cmocka.h"
#include "support/simnode_internal.h"
#include "support/simtext.h"

struct simnode_command {
    struct simnode *node;
    struct simnode_command *next; /* waiting behind it */
    char *text;
    unsigned connection;
    uint64_t write_number; /* in the history; 0: no write, or not taken */
    bool is_in_order;
    bool is_alone;
    bool is_done;
    struct buf reply; /* ends with a zero that does not count */
};

/* What a text asks of the port. */
struct asked {
    struct simtext text;
    struct port_request request;
    struct slice argv[SIMTEXT_COMMANDS + 2];
    struct buf coded[SIMTEXT_COMMANDS];
};

void simnode_free_commands(struct simnode *node)
{
    for (uint64_t i = 0; i < node->command_count; i++) {
        mem_free(node->commands[i]->text);
        buf_fini(&node->commands[i]->reply);
        mem_free(node->commands[i]);
    }
    mem_free(node->commands);
}

/* ---- From text to request ---- */

static const struct command_row *row_of(const struct simnode *node,
                                        const struct simtext_command *command)
{
    const struct command_row *parent;
    const struct command_row *row =
        command_find(node->table, command->argv, command->argc, &parent);
    if (row == NULL || !command_arity_fits(row, command->argc) || row->scope == SCOPE_NODE)
        fail_msg("%.*s is no command of a node", SLICE_FMT(command->argv[0]));
    return row;
}

static void ask_transaction(const struct simnode *node, struct asked *asked)
{
    bool has_writes = false;
    asked->argv[0] = SLICE_LIT("exec");
    asked->argv[1] = SLICE_EMPTY; /* nothing is watched */
    for (uint32_t i = 0; i < asked->text.count; i++) {
        const struct simtext_command *command = &asked->text.commands[i];
        const struct command_row *row = row_of(node, command);
        size_t size = command_coded_size(command->argv, command->argc);
        command_encode(buf_extend(&asked->coded[i], size), row->id, asked->text.db, command->argv,
                       command->argc);
        asked->argv[2 + i] = buf_slice(&asked->coded[i]);
        has_writes |= (row->flags & CMD_WRITE) != 0;
    }
    asked->request.row = transaction_row(has_writes);
    asked->request.argv = asked->argv;
    asked->request.argc = asked->text.count + 2;
}

static void ask(const struct simnode *node, const char *text, struct asked *out)
{
    memset(out, 0, sizeof(*out));
    simtext_parse(text, &out->text);
    if (out->text.is_transaction) {
        ask_transaction(node, out);
    } else {
        out->request.row = row_of(node, &out->text.commands[0]);
        out->request.argv = out->text.commands[0].argv;
        out->request.argc = out->text.commands[0].argc;
    }
    out->request.db = out->text.db;
    out->request.proto = 2;
}

static void asked_fini(struct asked *asked)
{
    for (uint32_t i = 0; i < SIMTEXT_COMMANDS; i++)
        buf_fini(&asked->coded[i]);
}

/* ---- Answers ---- */

static void answer(struct simnode_command *command, struct slice reply)
{
    struct simnode *node = command->node;
    assert_false(command->is_done); /* exactly one reply */
    command->is_done = true;
    node->answered_count++;
    buf_append_slice(&command->reply, reply);
    buf_append_byte(&command->reply, 0);
    if (command->write_number == 0 || node->history == NULL)
        return;
    node->write_count -= simhistory_kind(reply) == SIM_REFUSED;
    simhistory_answer(node->history, command->write_number, reply);
    simdisk_note(node->disk, NOTE_ACKNOWLEDGED, simhistory_acknowledged(node->history));
}

static void execute(struct simnode_command *command);

static void pump(struct simnode_connection *connection)
{
    while (!connection->is_stalled && connection->waiting != NULL) {
        struct simnode_command *command = connection->waiting;
        connection->waiting = command->next;
        if (connection->waiting == NULL)
            connection->waiting_last = NULL;
        execute(command);
    }
}

static void on_reply(void *ctx, void *token, struct slice reply)
{
    struct simnode *node = ctx;
    struct simnode_command *command = token;
    struct simnode_connection *connection = &node->connections[command->connection];
    answer(command, reply);
    if (command->is_in_order)
        connection->in_order--;
    if (command->is_alone)
        connection->is_stalled = false;
    pump(connection);
}

static void on_placed(void *ctx, void *token)
{
    (void)ctx;
    struct simnode_command *command = token;
    struct simnode_connection *connection = &command->node->connections[command->connection];
    command->is_alone = false;
    connection->is_stalled = false;
    pump(connection);
}

static void on_room(void *ctx)
{
    (void)ctx;
}

void simnode_listen(struct simnode *node)
{
    static const struct port_events events = {
        .on_reply = on_reply, .on_placed = on_placed, .on_room = on_room};
    port_set_events(node->port, &events, node);
}

/* ---- Sending ---- */

static void note_taken(struct simnode_command *command, enum port_result result, bool is_write)
{
    struct simnode *node = command->node;
    struct simnode_connection *connection = &node->connections[command->connection];
    command->is_in_order = result != PORT_TAKEN_FREE;
    command->is_alone = result == PORT_TAKEN_ALONE;
    connection->in_order += command->is_in_order;
    connection->is_stalled = command->is_alone;
    if (!is_write)
        return;
    node->write_count++;
    command->write_number = simhistory_add(node->history, command->text, node->clock.wall_ms);
    simdisk_note(node->disk, NOTE_SUBMITTED, command->write_number);
}

static void execute(struct simnode_command *command)
{
    struct simnode *node = command->node;
    struct asked asked;
    struct buf out = {0};
    struct reply reply = reply_to(&out, 2);
    ask(node, command->text, &asked);
    asked.request.must_follow = node->connections[command->connection].in_order > 0;
    asked.request.token = command;
    enum port_result result = port_execute(node->port, &asked.request, &reply);
    if (result == PORT_ANSWERED)
        answer(command, buf_slice(&out));
    else
        note_taken(command, result, (asked.request.row->flags & CMD_WRITE) != 0);
    buf_fini(&out);
    asked_fini(&asked);
}

uint64_t simnode_send(struct simnode *node, unsigned connection, const char *text)
{
    ASSERT(connection < SIMNODE_CONNECTIONS);
    struct simnode_command *command = mem_calloc(1, sizeof(*command));
    command->node = node;
    command->text = mem_dup_str(text);
    command->connection = connection;
    if (node->command_count == node->command_cap) {
        node->command_cap = node->command_cap == 0 ? 64 : node->command_cap * 2;
        node->commands = mem_realloc(node->commands, node->command_cap * sizeof(command));
    }
    node->commands[node->command_count++] = command;
    uint64_t number = node->command_count;
    struct simnode_connection *at = &node->connections[connection];
    if (at->waiting_last == NULL)
        at->waiting = command;
    else
        at->waiting_last->next = command;
    at->waiting_last = command;
    pump(at);
    return number;
}

struct slice simnode_reply_bytes(const struct simnode *node, uint64_t number)
{
    ASSERT(number >= 1 && number <= node->command_count);
    const struct simnode_command *command = node->commands[number - 1];
    return command->is_done ? slice_of(command->reply.data, command->reply.len - 1) : SLICE_EMPTY;
}

const char *simnode_reply(const struct simnode *node, uint64_t number)
{
    struct slice reply = simnode_reply_bytes(node, number);
    return reply.data == NULL ? NULL : (const char *)reply.data;
}

const char *simnode_ask(struct simnode *node, const char *text)
{
    uint64_t number = simnode_send(node, 0, text);
    if (!simnode_settle(node))
        fail_msg("no reply to %.200s: %s", text, node->fatal);
    return simnode_reply(node, number);
}
