/* SPDX-License-Identifier: Apache-2.0 */
#include "command/codec.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"

size_t command_coded_size(const struct slice *argv, uint32_t argc)
{
    size_t size = COMMAND_HEADER_SIZE + (size_t)argc * 4;
    for (uint32_t i = 1; i < argc; i++) {
        size += argv[i].len;
        if (size > UINT32_MAX)
            return 0;
    }
    return size;
}

void command_encode(uint8_t *to, uint16_t id, uint16_t db, const struct slice *argv, uint32_t argc)
{
    uint8_t *lengths = to + COMMAND_HEADER_SIZE;
    uint8_t *at = lengths + (size_t)argc * 4;
    if (argc > 0)
        put_u32(lengths, 0);
    for (uint32_t i = 1; i < argc; i++) {
        put_u32(lengths + (size_t)i * 4, (uint32_t)argv[i].len);
        if (argv[i].len > 0)
            memcpy(at, argv[i].data, argv[i].len);
        at += argv[i].len;
    }
    put_u32(to, (uint32_t)(at - to));
    put_u16(to + 4, id);
    put_u16(to + 6, db);
    put_u32(to + 8, argc);
}

int command_decode(struct slice bytes, struct coded_command *out_command)
{
    if (bytes.len < COMMAND_HEADER_SIZE)
        return ERR_CORRUPT;
    uint32_t size = get_u32(bytes.data);
    uint32_t argc = get_u32(bytes.data + 8);
    if (size > bytes.len || argc == 0 || argc > COMMAND_MAX_ARGS)
        return ERR_CORRUPT;
    uint64_t need = COMMAND_HEADER_SIZE + (uint64_t)argc * 4;
    if (need > size)
        return ERR_CORRUPT;
    const uint8_t *lengths = bytes.data + COMMAND_HEADER_SIZE;
    for (uint32_t i = 0; i < argc; i++)
        need += get_u32(lengths + (size_t)i * 4);
    if (need != size || get_u32(lengths) != 0)
        return ERR_CORRUPT;
    *out_command = (struct coded_command){
        .id = get_u16(bytes.data + 4),
        .db = get_u16(bytes.data + 6),
        .argc = argc,
        .lengths = lengths,
        .bytes = lengths + (size_t)argc * 4,
        .size = size,
    };
    return 0;
}

void command_fill_argv(const struct coded_command *command, struct slice *argv)
{
    const uint8_t *at = command->bytes;
    for (uint32_t i = 0; i < command->argc; i++) {
        uint32_t len = get_u32(command->lengths + (size_t)i * 4);
        argv[i] = slice_of(at, len);
        at += len;
    }
}
