/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdbool.h>
#include <string.h>

#include "support/cmocka.h"

static bool is_told(void)
{
    return mem_stats().allocated > 0;
}

static void what_is_allocated_is_told(void **state)
{
    (void)state;
    char name[64];
    assert_true(mem_allocator(name, sizeof(name)) > 3);
    if (!is_told()) {
        assert_string_equal(name, "libc");
        return;
    }
    assert_int_equal(strncmp(name, "jemalloc-", 9), 0);
    struct mem_stats before = mem_stats();
    char *block = mem_alloc(50u << 20);
    memset(block, 1, 50u << 20);
    struct mem_stats with = mem_stats();
    mem_free(block);
    assert_true(with.allocated >= before.allocated + (50u << 20));
    assert_true(with.active >= with.allocated && with.resident >= with.active);
    assert_true(mem_stats().allocated < with.allocated);
    mem_purge();
}

static void count_text(void *ctx, const char *text)
{
    *(size_t *)ctx += strlen(text);
}

static void the_allocator_reports(void **state)
{
    (void)state;
    size_t size = 0;
    mem_report(count_text, &size);
    assert_true(!is_told() || size > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_allocated_is_told),
        cmocka_unit_test(the_allocator_reports),
    };
    return cmocka_run_group_tests_name("base.mem", tests, NULL, NULL);
}
