/* SPDX-License-Identifier: Apache-2.0 */
#include "support/simtext.h"

#include "base/assert.h"
#include "base/num.h"

static struct slice next_word(const char **at)
{
    const char *begin = *at;
    size_t len = strcspn(begin, " ;");
    ASSERT(len > 0);
    *at = begin + len;
    return slice_of(begin, len);
}

static void parse_command(const char **at, struct simtext_command *out)
{
    out->argc = 0;
    while (**at != '\0' && **at != ';') {
        ASSERT(out->argc < SIMTEXT_ARGS);
        out->argv[out->argc++] = next_word(at);
        if (**at == ' ')
            (*at)++;
    }
    ASSERT(out->argc > 0);
}

void simtext_parse(const char *text, struct simtext *out)
{
    const char *at = text;
    out->db = 0;
    out->count = 0;
    if (*at == '@') {
        int64_t db;
        at++;
        bool is_number = num_parse_i64(next_word(&at), &db);
        ASSERT(is_number && db >= 0 && db <= UINT16_MAX && *at == ' ');
        out->db = (uint16_t)db;
        at++;
    }
    for (;;) {
        ASSERT(out->count < SIMTEXT_COMMANDS);
        parse_command(&at, &out->commands[out->count++]);
        if (*at == '\0')
            break;
        at++;
        at += *at == ' ';
    }
    out->is_transaction = out->count > 1;
}
