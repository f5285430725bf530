/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/entry.h"

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

void entry_put_prefix(uint8_t *to, const struct entry_prefix *prefix)
{
    put_u16(to, prefix->semantics);
    put_u16(to + 2, 0);
    put_u32(to + 4, prefix->count);
    put_u64(to + 8, prefix->hlc);
    put_u64(to + 16, prefix->ceiling_ms);
}

int entry_get_prefix(struct slice payload, struct entry_prefix *out_prefix)
{
    if (payload.len < ENTRY_PREFIX_SIZE)
        return ERR_CORRUPT;
    struct entry_prefix prefix = {
        .semantics = get_u16(payload.data),
        .count = get_u32(payload.data + 4),
        .hlc = get_u64(payload.data + 8),
        .ceiling_ms = get_u64(payload.data + 16),
    };
    if (prefix.semantics != ENTRY_SEMANTICS)
        return ERR_VERSION;
    if (get_u16(payload.data + 2) != 0 || prefix.count > ENTRY_MAX_COMMANDS)
        return ERR_CORRUPT;
    *out_prefix = prefix;
    return 0;
}

const char *entry_decode_command(struct entry_decoder *decoder, struct slice rest,
                                 struct entry_command *out_command)
{
    struct coded_command coded;
    if (command_decode(rest, &coded) != 0)
        return "is not well-formed";
    const struct command_row *row = command_by_id(decoder->table, coded.id);
    if (row == NULL || (row->flags & CMD_WRITE) == 0)
        return "has an unknown number: another version of Ferric wrote it";
    if (coded.db >= decoder->database_count || !command_arity_fits(row, coded.argc))
        return "does not fit what it is";
    if (coded.argc > decoder->argv_cap) {
        decoder->argv_cap = coded.argc;
        decoder->argv = mem_realloc(decoder->argv, decoder->argv_cap * sizeof(*decoder->argv));
    }
    command_fill_argv(&coded, decoder->argv);
    *out_command = (struct entry_command){.row = row, .coded = coded, .argv = decoder->argv};
    return NULL;
}

void entry_decoder_fini(struct entry_decoder *decoder)
{
    mem_free(decoder->argv);
    decoder->argv = NULL;
    decoder->argv_cap = 0;
}
