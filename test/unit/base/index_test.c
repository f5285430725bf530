/* SPDX-License-Identifier: Apache-2.0 */
#include "base/index.h"

#include <stdbool.h>

#include "base/attr.h"
#include "support/cmocka.h"
#include "support/random.h"

struct entry {
    struct index_node node;
    uint64_t key;
    bool is_in;
};

static struct entry *entry_of(struct index_node *node)
{
    return CONTAINER_OF(node, struct entry, node);
}

static struct entry *find(const struct index *index, uint64_t key, uint64_t hash)
{
    struct index_node *node = index_find(index, hash);
    while (node != NULL && entry_of(node)->key != key)
        node = index_find_next(node);
    return node == NULL ? NULL : entry_of(node);
}

/* So that many entries share a hash. */
static uint64_t hash_of(uint64_t key)
{
    return key / 3 * UINT64_C(0x9e3779b97f4a7c15);
}

static void an_empty_one_finds_nothing(void **state)
{
    (void)state;
    struct index index = {0};
    assert_null(index_find(&index, 7));
    assert_null(index_random(&index, 7));
    assert_int_equal(index_bytes(&index), 0);
    index_fini(&index);
}

static void what_is_in_is_found_whatever_comes_and_goes(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static struct entry entries[COUNT];
    struct random random = {.state = random_seed()};
    struct index index = {0};
    size_t count = 0;
    for (uint64_t i = 0; i < COUNT; i++)
        entries[i] = (struct entry){.key = i};
    for (int i = 0; i < 30000; i++) {
        struct entry *entry = &entries[random_below(&random, COUNT)];
        if (entry->is_in)
            index_del(&index, &entry->node);
        else
            index_add(&index, &entry->node, hash_of(entry->key));
        entry->is_in = !entry->is_in;
        count = entry->is_in ? count + 1 : count - 1;
        assert_int_equal(index.count, count);
    }
    for (uint64_t i = 0; i < COUNT; i++)
        assert_ptr_equal(find(&index, i, hash_of(i)), entries[i].is_in ? &entries[i] : NULL);
    size_t walked = 0;
    for (size_t i = 0; i < index.bucket_count; i++) {
        for (struct index_node *node = index_bucket(&index, i); node != NULL; node = node->next)
            walked += entry_of(node)->is_in;
    }
    assert_int_equal(walked, count);
    struct index_node *drawn = index_random(&index, random_next(&random));
    assert_true(count == 0 || entry_of(drawn)->is_in);
    for (uint64_t i = 0; i < COUNT; i++) {
        if (entries[i].is_in)
            index_del(&index, &entries[i].node);
    }
    assert_int_equal(index_bytes(&index), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_finds_nothing),
        cmocka_unit_test(what_is_in_is_found_whatever_comes_and_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
