/* SPDX-License-Identifier: Apache-2.0 */
/* corpus_command DIR: writes the corpus command_codec/ of the folder DIR, which must be there: a
 * command for each row, transactions, and bytes that are none. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "command/codec.h"
#include "command/transaction.h"

#define MAX_WORDS 8

static void save(const char *dir, const char *name, struct slice bytes)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/command_codec/%s", dir, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes.data, 1, bytes.len, file) != bytes.len || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static const struct command {
    const char *name;
    uint16_t id;
    const char *words[MAX_WORDS];
} commands[] = {
    {"get", 1, {"a"}},
    {"set", 2, {"a", "v", "NX", "GET", "EX", "10"}},
    {"set_keepttl", 2, {"n", "v", "XX", "KEEPTTL"}},
    {"getdel", 4, {"a"}},
    {"getex", 5, {"n", "PERSIST"}},
    {"setex", 7, {"k", "5", "v"}},
    {"mget", 9, {"a", "n", "l", "x"}},
    {"mset", 10, {"a", "1", "b", "2"}},
    {"msetnx", 11, {"x", "1", "y", "2"}},
    {"incr", 20, {"n"}},
    {"incrby", 22, {"n", "-5"}},
    {"incrbyfloat", 24, {"f", "1.5e-3"}},
    {"append", 40, {"a", "more"}},
    {"getrange", 42, {"a", "-3", "-1"}},
    {"setrange", 43, {"a", "7", "v"}},
    {"lcs", 48, {"a", "n", "IDX", "MINMATCHLEN", "1", "WITHMATCHLEN"}},
    {"setbit", 60, {"a", "70", "1"}},
    {"getbit", 61, {"a", "3"}},
    {"bitcount", 62, {"a", "1", "-2", "BIT"}},
    {"bitpos", 63, {"a", "0", "2", "-1", "BYTE"}},
    {"bitop", 64, {"XOR", "d", "a", "n"}},
    {"bitfield", 65, {"a", "OVERFLOW", "SAT", "INCRBY", "i5", "#3", "-9"}},
    {"bitfield_ro", 66, {"a", "GET", "u63", "5"}},
    {"pfadd", 70, {"h", "a", "b"}},
    {"pfcount", 71, {"h", "x"}},
    {"pfmerge", 72, {"h", "x"}},
    {"pfdebug", 73, {"TODENSE", "h"}},
    {"del", 100, {"a", "n", "x"}},
    {"rename", 105, {"a", "n"}},
    {"copy", 107, {"a", "b", "DB", "1", "REPLACE"}},
    {"flushdb", 111, {"ASYNC"}},
    {"flushall", 112, {NULL}},
    {"randomkey", 113, {NULL}},
    {"expire", 120, {"a", "100", "NX"}},
    {"pexpireat", 123, {"n", "1", "LT"}},
    {"ttl", 124, {"n"}},
    {"keys", 140, {"[a-f]*"}},
    {"scan", 141, {"0", "MATCH", "*", "COUNT", "5", "TYPE", "string"}},
};

static void add(struct buf *to, const struct command *command, uint16_t db)
{
    struct slice argv[MAX_WORDS + 1] = {SLICE_EMPTY};
    uint32_t argc = 1;
    for (; argc <= MAX_WORDS && command->words[argc - 1] != NULL; argc++)
        argv[argc] = slice_str(command->words[argc - 1]);
    command_encode(buf_extend(to, command_coded_size(argv, argc)), command->id, db, argv, argc);
}

/* A transaction of three commands, from number `first` on. */
static void add_transaction(struct buf *to, uint16_t id, size_t first)
{
    struct buf watches = {0};
    struct buf coded[3] = {{0}};
    watch_encode(&watches, &(struct watched_key){.db = 0, .key = SLICE_LIT("x")});
    watch_encode(&watches, &(struct watched_key){.db = 1, .key = SLICE_LIT("y")});
    struct slice argv[5] = {SLICE_EMPTY, buf_slice(&watches)};
    for (size_t i = 0; i < 3; i++) {
        add(&coded[i], &commands[first + i], (uint16_t)(i % 2));
        argv[i + 2] = buf_slice(&coded[i]);
    }
    command_encode(buf_extend(to, command_coded_size(argv, 5)), id, 0, argv, 5);
    buf_fini(&watches);
    for (size_t i = 0; i < 3; i++)
        buf_fini(&coded[i]);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    struct buf bytes = {0};
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        buf_reset(&bytes, SIZE_MAX);
        add(&bytes, &commands[i], 0);
        save(argv[1], commands[i].name, buf_slice(&bytes));
    }
    for (size_t first = 0; first < 32; first += 4) {
        char name[32];
        snprintf(name, sizeof(name), "exec_%zu", first);
        buf_reset(&bytes, SIZE_MAX);
        add_transaction(&bytes, 200, first);
        save(argv[1], name, buf_slice(&bytes));
    }
    buf_reset(&bytes, SIZE_MAX);
    add_transaction(&bytes, 201, 0);
    save(argv[1], "exec_reading_writes", buf_slice(&bytes));
    bytes.data[0]++;
    save(argv[1], "wrong_size", buf_slice(&bytes));
    bytes.data[0]--;
    put_u32(bytes.data + 8, UINT32_MAX);
    save(argv[1], "hostile_count", buf_slice(&bytes));
    put_u32(bytes.data + 8, 5);
    put_u32(bytes.data + 16, UINT32_MAX);
    save(argv[1], "hostile_length", buf_slice(&bytes));
    save(argv[1], "torn", slice_sub(buf_slice(&bytes), 0, 11));
    buf_fini(&bytes);
    return 0;
}
