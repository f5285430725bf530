/* SPDX-License-Identifier: Apache-2.0 */
#include "resp/reply.h"

#include <math.h>

#include "support/cmocka.h"

/* What one call writes in each protocol. */
typedef void (*write_fn)(struct reply *reply);

static void write_ok(struct reply *r)
{
    reply_ok(r);
}

static void write_status(struct reply *r)
{
    reply_status(r, "QUEUED");
}

static void write_error(struct reply *r)
{
    reply_error(r, "ERR no\r\nbreaks\n");
}

static void write_error_slice(struct reply *r)
{
    reply_error_slice(r, SLICE_LIT("ERR a\nb"));
}

static void write_errorf(struct reply *r)
{
    reply_errorf(r, "ERR unknown command '%s', %d", "a\nb", 7);
}

static void write_ints(struct reply *r)
{
    const int64_t values[] = {0, 7, 10, 99, 100, 12345, -1, -10, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++)
        reply_int(r, values[i]);
}

static void write_bulks(struct reply *r)
{
    reply_bulk(r, SLICE_LIT("a\r\nb"));
    reply_bulk(r, SLICE_EMPTY);
    reply_bulk_str(r, "0123456789");
    reply_bulk_int(r, -42);
}

static void write_bulk_in_parts(struct reply *r)
{
    reply_bulk_begin(r, 4);
    buf_append_str(r->out, "ab");
    buf_append_str(r->out, "cd");
    reply_bulk_end(r);
}

static void write_nulls(struct reply *r)
{
    reply_null(r);
    reply_null_array(r);
}

static void write_doubles(struct reply *r)
{
    const double values[] = {3.141, 0, -0.0, 1e20, 7, INFINITY, -INFINITY, NAN, -NAN};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++)
        reply_double(r, values[i]);
}

static void write_bools(struct reply *r)
{
    reply_bool(r, true);
    reply_bool(r, false);
}

static void write_big_number(struct reply *r)
{
    reply_big_number(r, SLICE_LIT("-1234567999999999999999999999999999999"));
}

static void write_verbatim(struct reply *r)
{
    reply_verbatim(r, "txt", SLICE_LIT("two\nlines"));
    reply_verbatim(r, "mkd", SLICE_EMPTY);
}

static void write_aggregates(struct reply *r)
{
    reply_array(r, 0);
    reply_map(r, 0);
    reply_array(r, 2);
    reply_map(r, 1);
    reply_bulk_str(r, "k");
    reply_set(r, 2);
    reply_int(r, 1);
    reply_int(r, 2);
    reply_push(r, 1);
    reply_ok(r);
}

static void write_deferred(struct reply *r)
{
    reply_ok(r);
    size_t outer = reply_array_begin(r);
    size_t map = reply_array_begin(r);
    reply_int(r, 1);
    reply_int(r, 2);
    reply_map_end(r, map, 1);
    size_t set = reply_array_begin(r);
    reply_set_end(r, set, 0);
    reply_array_end(r, outer, 2);
    reply_int(r, 3);
}

static const struct {
    write_fn write;
    const char *resp2;
    const char *resp3; /* NULL: the same */
} cases[] = {
    {write_ok, "+OK\r\n", NULL},
    {write_status, "+QUEUED\r\n", NULL},
    {write_error, "-ERR no  breaks \r\n", NULL},
    {write_error_slice, "-ERR a b\r\n", NULL},
    {write_errorf, "-ERR unknown command 'a b', 7\r\n", NULL},
    {write_ints,
     ":0\r\n:7\r\n:10\r\n:99\r\n:100\r\n:12345\r\n:-1\r\n:-10\r\n:9223372036854775807\r\n"
     ":-9223372036854775808\r\n",
     NULL},
    {write_bulks, "$4\r\na\r\nb\r\n$0\r\n\r\n$10\r\n0123456789\r\n$3\r\n-42\r\n", NULL},
    {write_bulk_in_parts, "$4\r\nabcd\r\n", NULL},
    {write_nulls, "$-1\r\n*-1\r\n", "_\r\n_\r\n"},
    {write_doubles,
     "$5\r\n3.141\r\n$1\r\n0\r\n$2\r\n-0\r\n$5\r\n1e+20\r\n$1\r\n7\r\n$3\r\ninf\r\n$4\r\n-inf\r\n"
     "$3\r\nnan\r\n$3\r\nnan\r\n",
     ",3.141\r\n,0\r\n,-0\r\n,1e+20\r\n,7\r\n,inf\r\n,-inf\r\n,nan\r\n,nan\r\n"},
    {write_bools, ":1\r\n:0\r\n", "#t\r\n#f\r\n"},
    {write_big_number, "$38\r\n-1234567999999999999999999999999999999\r\n",
     "(-1234567999999999999999999999999999999\r\n"},
    {write_verbatim, "$9\r\ntwo\nlines\r\n$0\r\n\r\n", "=13\r\ntxt:two\nlines\r\n=4\r\nmkd:\r\n"},
    {write_aggregates, "*0\r\n*0\r\n*2\r\n*2\r\n$1\r\nk\r\n*2\r\n:1\r\n:2\r\n*1\r\n+OK\r\n",
     "*0\r\n%0\r\n*2\r\n%1\r\n$1\r\nk\r\n~2\r\n:1\r\n:2\r\n>1\r\n+OK\r\n"},
    {write_deferred, "+OK\r\n*2\r\n*2\r\n:1\r\n:2\r\n*0\r\n:3\r\n",
     "+OK\r\n*2\r\n%1\r\n:1\r\n:2\r\n~0\r\n:3\r\n"},
};

static void expect_bytes(size_t i, uint8_t proto, const char *wanted)
{
    struct buf out = {0};
    struct reply reply = reply_to(&out, proto);
    cases[i].write(&reply);
    buf_append_byte(&out, '\0');
    assert_string_equal((const char *)out.data, wanted);
    assert_int_equal(out.len, strlen(wanted) + 1);
    buf_fini(&out);
}

static void resp2_is_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        expect_bytes(i, 2, cases[i].resp2);
}

static void resp3_is_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        expect_bytes(i, 3, cases[i].resp3 == NULL ? cases[i].resp2 : cases[i].resp3);
}

/* Each value alone, into buffers that are full up to every size: growth loses nothing. */
static void growth_at_any_point_loses_nothing(void **state)
{
    (void)state;
    for (size_t filled = 1; filled < 64; filled++) {
        for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
            struct buf out = {0};
            memset(buf_extend(&out, filled), 'x', filled);
            struct reply reply = reply_to(&out, 3);
            cases[i].write(&reply);
            const char *wanted = cases[i].resp3 == NULL ? cases[i].resp2 : cases[i].resp3;
            assert_int_equal(out.len, filled + strlen(wanted));
            assert_memory_equal(out.data + filled, wanted, strlen(wanted));
            buf_fini(&out);
        }
    }
}

static void long_errors_are_whole(void **state)
{
    (void)state;
    char name[1000];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (int len = 200; len < 1000; len++) {
        struct buf out = {0};
        struct reply reply = reply_to(&out, 2);
        reply_errorf(&reply, "ERR %.*s", len, name);
        assert_int_equal(out.len, (size_t)len + 7);
        assert_memory_equal(out.data, "-ERR n", 6);
        assert_memory_equal(out.data + out.len - 3, "n\r\n", 3);
        buf_fini(&out);
    }
}

static void errors_may_hold_nul(void **state)
{
    (void)state;
    struct buf out = {0};
    struct reply reply = reply_to(&out, 2);
    reply_error_slice(&reply, SLICE_LIT("ERR '\0'"));
    assert_true(slice_eq(buf_slice(&out), SLICE_LIT("-ERR '\0'\r\n")));
    buf_fini(&out);
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    struct buf out = {0};
    struct reply reply = reply_to(&out, 2);
    assert_true(reply_reserve(&reply, SIZE_MAX) < 0);
    assert_int_equal(reply_reserve(&reply, 100), 0);
    reply_ok(&reply);
    assert_int_equal(out.len, 5);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resp2_is_exact),
        cmocka_unit_test(resp3_is_exact),
        cmocka_unit_test(growth_at_any_point_loses_nothing),
        cmocka_unit_test(long_errors_are_whole),
        cmocka_unit_test(errors_may_hold_nul),
        cmocka_unit_test(impossible_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
