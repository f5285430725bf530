/* SPDX-License-Identifier: Apache-2.0 */
#include "store/event.h"

#include "base/mem.h"

#define KEPT_EVENTS 256
#define KEPT_BYTES  16384

void event_list_add(struct event_list *list, const struct event *event, struct slice key)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 8 : list->cap * 2;
        list->events = mem_realloc(list->events, list->cap * sizeof(*list->events));
    }
    struct event *added = &list->events[list->count++];
    *added = *event;
    added->key_off = list->keys.len;
    added->key_len = (uint32_t)key.len;
    buf_append_slice(&list->keys, key);
}

void event_list_clear(struct event_list *list)
{
    list->count = 0;
    buf_reset(&list->keys, KEPT_BYTES);
    if (list->cap <= KEPT_EVENTS)
        return;
    mem_free(list->events);
    list->events = NULL;
    list->cap = 0;
}

void event_list_fini(struct event_list *list)
{
    mem_free(list->events);
    buf_fini(&list->keys);
    *list = (struct event_list){0};
}

size_t event_list_bytes(const struct event_list *list)
{
    return list->count * sizeof(*list->events) + list->keys.len;
}
