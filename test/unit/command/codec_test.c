/* SPDX-License-Identifier: Apache-2.0 */
#include "command/codec.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/random.h"

#define MAX_ARGS 9

/* What was encoded; argv[0] is empty, as it comes back. */
struct sample {
    uint16_t id;
    uint16_t db;
    uint32_t argc;
    struct slice argv[MAX_ARGS];
    uint8_t bytes[512];
};

static void make_sample(struct sample *sample, struct random *random)
{
    sample->id = (uint16_t)random_next(random);
    sample->db = (uint16_t)random_next(random);
    sample->argc = 1 + (uint32_t)random_below(random, MAX_ARGS);
    sample->argv[0] = SLICE_EMPTY;
    for (size_t i = 0; i < sizeof(sample->bytes); i++)
        sample->bytes[i] = (uint8_t)random_next(random);
    size_t used = 0;
    for (uint32_t i = 1; i < sample->argc; i++) {
        size_t len = random_below(random, 4) == 0 ? 0 : random_below(random, 50);
        sample->argv[i] = slice_of(sample->bytes + used, len);
        used += len;
    }
}

static void encode_sample(const struct sample *sample, struct buf *to)
{
    size_t size = command_coded_size(sample->argv, sample->argc);
    command_encode(buf_extend(to, size), sample->id, sample->db, sample->argv, sample->argc);
}

static void what_is_encoded_comes_back(void **state)
{
    (void)state;
    struct random random = {random_seed()};
    for (int round = 0; round < 2000; round++) {
        struct sample sample;
        make_sample(&sample, &random);
        struct buf coded = {0};
        encode_sample(&sample, &coded);
        size_t size = coded.len;
        buf_append_str(&coded, "what follows is another's");
        struct coded_command command;
        assert_int_equal(command_decode(buf_slice(&coded), &command), 0);
        assert_int_equal(command.size, size);
        assert_int_equal(command.id, sample.id);
        assert_int_equal(command.db, sample.db);
        assert_int_equal(command.argc, sample.argc);
        struct slice argv[MAX_ARGS];
        command_fill_argv(&command, argv);
        for (uint32_t i = 0; i < sample.argc; i++)
            assert_true(slice_eq(argv[i], sample.argv[i]));
        buf_fini(&coded);
    }
}

/* The name is not in the log: its id is. */
static void names_are_left_out(void **state)
{
    (void)state;
    const struct slice argv[] = {SLICE_LIT("a long name"), SLICE_LIT("k")};
    assert_int_equal(command_coded_size(argv, 2), COMMAND_HEADER_SIZE + 2 * 4 + 1);
}

static void the_format_is_permanent(void **state)
{
    (void)state;
    const struct slice argv[] = {SLICE_LIT("set"), SLICE_LIT("key"), SLICE_LIT("v")};
    uint8_t coded[28];
    assert_int_equal(command_coded_size(argv, 3), sizeof(coded));
    command_encode(coded, 2, 5, argv, 3);
    const uint8_t golden[] = {28, 0, 0, 0, 2, 0, 5, 0, 3, 0, 0,   0,   0,   0,
                              0,  0, 3, 0, 0, 0, 1, 0, 0, 0, 'k', 'e', 'y', 'v'};
    assert_memory_equal(coded, golden, sizeof(golden));
}

/* Accepted bytes mean exactly one command: encoding it again gives the same. */
static void check_hostile(struct slice bytes)
{
    struct coded_command command;
    /* In memory of its own, so that sanitizers see a read beyond the end. */
    uint8_t *copy = mem_dup(bytes.data, bytes.len);
    int rc = command_decode(slice_of(copy, bytes.len), &command);
    if (rc == 0) {
        struct slice *argv = mem_calloc(command.argc, sizeof(*argv));
        command_fill_argv(&command, argv);
        size_t size = command_coded_size(argv, command.argc);
        assert_int_equal(size, command.size);
        uint8_t *again = mem_alloc(size);
        command_encode(again, command.id, command.db, argv, command.argc);
        assert_memory_equal(again, copy, size);
        mem_free(again);
        mem_free(argv);
    } else {
        assert_int_equal(rc, ERR_CORRUPT);
    }
    mem_free(copy);
}

static void every_byte_may_be_wrong(void **state)
{
    (void)state;
    struct random random = {random_seed()};
    for (int round = 0; round < 20; round++) {
        struct sample sample;
        make_sample(&sample, &random);
        struct buf coded = {0};
        encode_sample(&sample, &coded);
        for (size_t i = 0; i < coded.len; i++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                coded.data[i] ^= (uint8_t)(1u << bit);
                check_hostile(buf_slice(&coded));
                coded.data[i] ^= (uint8_t)(1u << bit);
            }
        }
        for (size_t len = 0; len < coded.len; len++) {
            struct coded_command command;
            assert_int_equal(command_decode(slice_sub(buf_slice(&coded), 0, len), &command),
                             ERR_CORRUPT);
            check_hostile(slice_sub(buf_slice(&coded), 0, len));
        }
        buf_fini(&coded);
    }
}

static void limits(void **state)
{
    (void)state;
    /* Four gigabytes do not fit. */
    const struct slice large = {.data = (const uint8_t *)"", .len = 1u << 30};
    const struct slice argv[] = {SLICE_LIT("mset"), large, large, large, large};
    assert_int_equal(command_coded_size(argv, 5), 0);
    assert_true(command_coded_size(argv, 4) > 0);
    /* More arguments than there may be, with bytes for all of them. */
    size_t size = COMMAND_HEADER_SIZE + 4 * ((size_t)COMMAND_MAX_ARGS + 1);
    uint8_t *coded = mem_calloc(1, size);
    struct coded_command command;
    put_u32(coded, (uint32_t)size);
    put_u32(coded + 8, COMMAND_MAX_ARGS + 1);
    assert_int_equal(command_decode(slice_of(coded, size), &command), ERR_CORRUPT);
    put_u32(coded, (uint32_t)size - 4);
    put_u32(coded + 8, COMMAND_MAX_ARGS);
    assert_int_equal(command_decode(slice_of(coded, size), &command), 0);
    /* Lengths that only fit when they wrap. */
    put_u32(coded, COMMAND_HEADER_SIZE + 12);
    put_u32(coded + 8, 3);
    put_u32(coded + 16, UINT32_MAX);
    put_u32(coded + 20, 1);
    assert_int_equal(command_decode(slice_of(coded, size), &command), ERR_CORRUPT);
    mem_free(coded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_comes_back),
        cmocka_unit_test(names_are_left_out),
        cmocka_unit_test(the_format_is_permanent),
        cmocka_unit_test(every_byte_may_be_wrong),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
