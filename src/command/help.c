/* SPDX-License-Identifier: Apache-2.0 */
#include "command/help.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "command/catalogue.h"

#define LINE_SIZE 512

static void put_upper(char *to, size_t size, const char *text)
{
    size_t len = 0;
    for (; text[len] != '\0' && len < size - 1; len++)
        to[len] = (char)toupper((unsigned char)text[len]);
    to[len] = '\0';
}

static void reply_sub(struct reply *reply, const struct command_row *row)
{
    char name[64];
    char line[LINE_SIZE];
    put_upper(name, sizeof(name), row->name);
    snprintf(line, sizeof(line), "%s%s%s", name, row->syntax[0] != '\0' ? " " : "", row->syntax);
    reply_status(reply, line);
    snprintf(line, sizeof(line), "    %s", row->summary);
    reply_status(reply, line);
}

int help_run(struct call *call)
{
    const char *container = call->row->parent;
    char name[64];
    char line[LINE_SIZE];
    size_t mark = reply_array_begin(call->reply);
    size_t count = 1;
    put_upper(name, sizeof(name), container);
    snprintf(line, sizeof(line),
             "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", name);
    reply_status(call->reply, line);
    for (size_t i = 0; i < command_row_count(call->table); i++) {
        const struct command_row *row = command_at(call->table, i);
        if (row->parent == NULL || strcmp(row->parent, container) != 0)
            continue;
        reply_sub(call->reply, row);
        count += 2;
    }
    reply_array_end(call->reply, mark, count);
    return 0;
}
