/* SPDX-License-Identifier: Apache-2.0 */
#include "seglog/index_internal.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

/* Room for one more of `size` bytes in an array [head, end) of `cap`: what was dropped in front is
 * used again before the array grows, so that each item is moved O(1) times. */
static void *make_room(void *array, size_t size, size_t *head, size_t *end, size_t *cap)
{
    if (*end < *cap)
        return array;
    if (*head > *cap / 2) {
        memmove(array, (uint8_t *)array + *head * size, (*end - *head) * size);
        *end -= *head;
        *head = 0;
        return array;
    }
    *cap = *cap == 0 ? 16 : *cap + *cap / 2;
    return mem_realloc(array, *cap * size);
}

void frame_index_fini(struct frame_index *index)
{
    mem_free(index->items);
    *index = (struct frame_index){0};
}

void frame_index_push(struct frame_index *index, const struct index_item *item)
{
    index->items = make_room(index->items, sizeof(*item), &index->head, &index->end, &index->cap);
    index->items[index->end++] = *item;
}

void frame_index_truncate(struct frame_index *index, uint64_t last_index)
{
    while (index->end > index->head) {
        struct index_item *last = &index->items[index->end - 1];
        if (last->first_index <= last_index) {
            if (last->first_index + last->count - 1 > last_index)
                last->count = (uint32_t)(last_index - last->first_index + 1);
            return;
        }
        index->end--;
    }
}

void frame_index_drop_segment(struct frame_index *index, const struct segment *segment)
{
    while (index->head < index->end && index->items[index->head].segment == segment)
        index->head++;
}

size_t frame_index_find(const struct frame_index *index, uint64_t first_index)
{
    size_t low = index->head;
    size_t high = index->end;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct index_item *item = &index->items[mid];
        if (item->first_index + item->count - 1 < first_index)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void term_table_fini(struct term_table *table)
{
    mem_free(table->runs);
    *table = (struct term_table){0};
}

static void push_run(struct term_table *table, uint64_t first_index, uint64_t term)
{
    table->runs =
        make_room(table->runs, sizeof(*table->runs), &table->head, &table->end, &table->cap);
    table->runs[table->end++] = (struct term_run){.first_index = first_index, .term = term};
}

void term_table_reset(struct term_table *table, uint64_t base_index, uint64_t base_term)
{
    table->head = 0;
    table->end = 0;
    push_run(table, base_index, base_term);
}

void term_table_append(struct term_table *table, uint64_t first_index, uint64_t term)
{
    const struct term_run *last = &table->runs[table->end - 1];
    ASSERT(term >= last->term);
    ASSERT(first_index > last->first_index);
    if (term > last->term)
        push_run(table, first_index, term);
}

void term_table_truncate(struct term_table *table, uint64_t last_index, uint64_t term)
{
    while (table->end > table->head && table->runs[table->end - 1].first_index > last_index)
        table->end--;
    if (table->end == table->head)
        term_table_reset(table, last_index, term);
}

/* Position of the run that rules at `index`. */
static size_t find_run(const struct term_table *table, uint64_t index)
{
    size_t low = table->head;
    size_t high = table->end;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (table->runs[mid].first_index <= index)
            low = mid;
        else
            high = mid;
    }
    return low;
}

void term_table_drop_front(struct term_table *table, uint64_t base_index)
{
    if (base_index <= term_table_base(table))
        return;
    table->head = find_run(table, base_index);
    table->runs[table->head].first_index = base_index;
}

uint64_t term_table_base(const struct term_table *table)
{
    return table->runs[table->head].first_index;
}

uint64_t term_table_get(const struct term_table *table, uint64_t index)
{
    ASSERT(index >= term_table_base(table));
    return table->runs[find_run(table, index)].term;
}
