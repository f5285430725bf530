/* SPDX-License-Identifier: Apache-2.0 */
/* What of a command is shown to people: arguments cut short, passwords left out. */
#include <stdio.h>

#include "command/tally.h"

#define MAX_ARGS  32
#define MAX_BYTES 128

static bool is_secret_option(struct slice name)
{
    return slice_is(name, "requirepass") || slice_is(name, "masterauth") ||
           slice_is(name, "primaryauth") || slice_is(name, "tls-key-file-pass") ||
           slice_is(name, "tls-client-key-file-pass");
}

/* Is it the value of CONFIG SET's option before it? */
static bool is_secret_value(const struct slice *argv, uint32_t nth)
{
    return nth >= 3 && nth % 2 == 1 && is_secret_option(argv[nth - 1]);
}

/* HELLO 3 AUTH user password. */
static bool is_secret_of_hello(const struct slice *argv, uint32_t nth)
{
    return (nth >= 3 && slice_is(argv[nth - 1], "auth")) ||
           (nth >= 4 && slice_is(argv[nth - 2], "auth"));
}

static bool is_row(const struct command_row *row, const char *parent, const char *name)
{
    return strcmp(row->name, name) == 0 &&
           (row->parent == NULL ? parent == NULL
                                : parent != NULL && strcmp(row->parent, parent) == 0);
}

bool slow_is_secret(const struct command_row *row, const struct slice *argv, uint32_t nth)
{
    /* By the row: clients may know the command by another name. */
    if (nth == 0 || row->scope != SCOPE_NODE)
        return false;
    if (is_row(row, NULL, "auth"))
        return true;
    if (is_row(row, NULL, "hello"))
        return is_secret_of_hello(argv, nth);
    return is_row(row, "config", "set") && is_secret_value(argv, nth);
}

static void put_one(struct reply *reply, struct slice arg)
{
    if (arg.len <= MAX_BYTES) {
        reply_bulk(reply, arg);
        return;
    }
    char more[64];
    int len = snprintf(more, sizeof(more), "... (%zu more bytes)", arg.len - MAX_BYTES);
    reply_bulk_begin(reply, MAX_BYTES + (size_t)len);
    buf_append_slice(reply->out, slice_sub(arg, 0, MAX_BYTES));
    buf_append(reply->out, more, (size_t)len);
    reply_bulk_end(reply);
}

void slow_shout(struct slow_command *slow)
{
    /* Behind "*count" and "$length". */
    unsigned lines = 0;
    for (size_t i = 0; i < slow->argv.len && lines < 3; i++) {
        uint8_t c = slow->argv.data[i];
        lines += c == '\n';
        if (lines == 2 && c >= 'a' && c <= 'z')
            slow->argv.data[i] = (uint8_t)(c - 'a' + 'A');
    }
}

void slow_put_argv(struct buf *to, const struct command_row *row, const struct slice *argv,
                   uint32_t argc)
{
    struct reply reply = reply_to(to, 2);
    uint32_t shown = argc > MAX_ARGS ? MAX_ARGS : argc;
    reply_array(&reply, shown);
    for (uint32_t i = 0; i < shown; i++) {
        char more[64];
        if (argc > shown && i == shown - 1) {
            snprintf(more, sizeof(more), "... (%u more arguments)", argc - shown + 1);
            reply_bulk_str(&reply, more);
        } else if (i == 0 && argv[0].len == 0) {
            /* As it stands in the log, without its name. */
            reply_bulk_str(&reply, row->parent != NULL ? row->parent : row->name);
        } else if (slow_is_secret(row, argv, i)) {
            reply_bulk_str(&reply, "(redacted)");
        } else {
            put_one(&reply, argv[i]);
        }
    }
}
