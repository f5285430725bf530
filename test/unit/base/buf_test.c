/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/arena.h"
#include "base/list.h"
#include "support/cmocka.h"

static void appends_keep_their_order(void **state)
{
    (void)state;
    struct buf buf = {0};
    for (int i = 0; i < 1000; i++)
        buf_append_format(&buf, "%d,", i);
    buf_drop_front(&buf, 2);
    assert_memory_equal(buf.data, "1,2,3", 5);
    struct buf taken = buf_take(&buf);
    assert_null(buf.data);
    assert_true(taken.len > 3000);
    buf_fini(&taken);
    buf_fini(&buf);
}

static void absurd_reserve_fails_cleanly(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_int_not_equal(buf_try_reserve(&buf, SIZE_MAX - 10), 0);
    assert_int_equal(buf.cap, 0);
    buf_fini(&buf);
}

static void arena_gives_back_all_but_one_block(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (int i = 0; i < 100; i++) {
        uint8_t *p = arena_try_alloc(&arena, 1000);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, i, 1000);
    }
    assert_non_null(arena_try_alloc(&arena, 1 << 20));
    assert_null(arena_try_alloc(&arena, SIZE_MAX));
    arena_reset(&arena);
    assert_true(arena.bytes <= 16384);
    arena_fini(&arena);
}

static void list_splice_keeps_order(void **state)
{
    (void)state;
    struct list_node a;
    struct list_node b;
    struct list_node nodes[4];
    list_init(&a);
    list_init(&b);
    list_push_back(&a, &nodes[0]);
    list_push_back(&b, &nodes[1]);
    list_push_back(&b, &nodes[2]);
    list_splice_back(&a, &b);
    assert_true(list_is_empty(&b));
    list_push_front(&a, &nodes[3]);
    assert_ptr_equal(list_pop_front(&a), &nodes[3]);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(list_pop_front(&a), &nodes[i]);
    assert_null(list_pop_front(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_keep_their_order),
        cmocka_unit_test(absurd_reserve_fails_cleanly),
        cmocka_unit_test(arena_gives_back_all_but_one_block),
        cmocka_unit_test(list_splice_keeps_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
