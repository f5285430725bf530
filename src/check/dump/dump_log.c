/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"
#include "check/dump/dump.h"
#include "engine/entry.h"
#include "seglog/look.h"

struct segment_dump {
    struct dump *dump;
    struct entry_decoder decoder;
};

static void print_command(struct printer *printer, uint64_t index, uint32_t nth,
                          const struct entry_command *command)
{
    print_begin(printer, "command");
    print_u64(printer, "index", index);
    print_u64(printer, "command", nth);
    print_u64(printer, "db", command->coded.db);
    if (command->row->parent != NULL)
        print_text(printer, "parent", command->row->parent);
    print_text(printer, "name", command->row->name);
    print_list(printer, "args");
    for (uint32_t i = 1; i < command->coded.argc; i++)
        print_item(printer, command->argv[i]);
    print_list_end(printer);
    print_end(printer);
}

static void print_commands(struct segment_dump *dump, uint64_t off, uint64_t index,
                           struct slice payload, uint32_t count)
{
    size_t at = ENTRY_PREFIX_SIZE;
    for (uint32_t nth = 0; nth < count; nth++) {
        struct entry_command command;
        const char *wrong =
            entry_decode_command(&dump->decoder, slice_sub(payload, at, SIZE_MAX), &command);
        if (wrong != NULL) {
            char text[200];
            snprintf(text, sizeof(text), "entry %" PRIu64 ", command %" PRIu32 " %s", index, nth,
                     wrong);
            dump_damage(dump->dump, off, 0, text);
            return;
        }
        print_command(&dump->dump->printer, index, nth, &command);
        at += command.coded.size;
    }
}

static void print_entry(struct segment_dump *dump, uint64_t off, const struct log_entry *entry)
{
    static const char *const types[] = {
        [ENTRY_COMMAND] = "command", [ENTRY_BARRIER] = "barrier", [ENTRY_CHANGE] = "change"};
    struct printer *printer = &dump->dump->printer;
    struct entry_prefix prefix = {0};
    int rc = entry->type == ENTRY_COMMAND ? entry_get_prefix(entry->payload, &prefix) : 0;
    print_begin(printer, "entry");
    print_u64(printer, "index", entry->index);
    print_u64(printer, "term", entry->term);
    print_text(printer, "type", types[entry->type]);
    print_u64(printer, "size", entry->payload.len);
    if (entry->type == ENTRY_COMMAND && rc == 0) {
        print_u64(printer, "time_ms", prefix.hlc >> 16);
        print_u64(printer, "ceiling_ms", prefix.ceiling_ms);
        print_u64(printer, "commands", prefix.count);
    }
    print_end(printer);
    if (rc != 0)
        dump_damage(dump->dump, off, 0, err_text(rc));
    else if (entry->type == ENTRY_COMMAND)
        print_commands(dump, off, entry->index, entry->payload, prefix.count);
}

static int on_frame(void *ctx, const struct seglog_seen *seen)
{
    static const char *const kinds[] = {[FRAME_OPEN] = "open",
                                        [FRAME_ENTRIES] = "entries",
                                        [FRAME_HARDSTATE] = "hard_state",
                                        [FRAME_TRUNCATE] = "truncate",
                                        [FRAME_VOUCH] = "vouch"};
    struct segment_dump *dump = ctx;
    struct printer *printer = &dump->dump->printer;
    print_begin(printer, "frame");
    print_u64(printer, "off", seen->off);
    print_u64(printer, "size", seen->size);
    print_text(printer, "type", kinds[seen->kind]);
    print_u64(printer, "sequence", seen->sequence);
    print_u64(printer, "durable", seen->durable);
    print_u64(printer, "first_index", seen->first_index);
    print_u64(printer, "entries", seen->count);
    print_u64(printer, "term", seen->term);
    if (seen->kind == FRAME_OPEN || seen->kind == FRAME_HARDSTATE) {
        struct seglog_hard_state state = seglog_hard_state_of(seen);
        print_u64(printer, "node_term", state.term);
        print_word64(printer, "vote", state.vote);
    }
    if (!seen->is_padding_clean)
        print_bool(printer, "is_padding_clean", false);
    print_end(printer);
    struct log_entry entry;
    size_t at = FRAME_HEADER_SIZE;
    for (uint32_t nth = 0; seglog_next_entry(seen, &at, nth, &entry); nth++)
        print_entry(dump, seen->off, &entry);
    return 0;
}

int dump_segment(struct dump *dump, const char *path, struct diag *diag)
{
    struct printer *printer = &dump->printer;
    struct seglog_segment segment;
    int rc = seglog_walk(dump->fs, path, NULL, NULL, &segment, diag);
    if (rc != 0)
        return rc;
    print_begin(printer, "segment");
    print_u64(printer, "size", segment.file_size);
    if (segment.is_header_sound) {
        print_u64(printer, "number", segment.number);
        print_word64(printer, "group_id", segment.group_id);
        print_word64(printer, "epoch", segment.epoch);
    }
    print_end(printer);
    if (!segment.is_header_sound)
        dump_damage(dump, 0, SEGLOG_FIRST_FRAME, "the header of the segment is damaged");
    struct segment_dump of_segment = {
        .dump = dump,
        .decoder = {.table = dump->table, .database_count = STORE_MAX_DATABASES},
    };
    rc = seglog_walk(dump->fs, path, on_frame, &of_segment, &segment, diag);
    entry_decoder_fini(&of_segment.decoder);
    return rc;
}
