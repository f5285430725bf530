/* SPDX-License-Identifier: Apache-2.0 */
#include "seglog/frame.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

#include <errno.h>

/* A frame's size is 32 bits on disk; no segment holds half of this. */
#define FRAME_CAP_MAX (1U << 30)

struct frame *frame_new(size_t payload)
{
    if (payload > FRAME_CAP_MAX - FRAME_ALIGN)
        return NULL;
    struct frame *frame = mem_try_calloc(1, sizeof(*frame));
    if (frame == NULL)
        return NULL;
    frame->cap = align_up(FRAME_PAYLOAD_OFF + payload, FRAME_ALIGN);
    frame->data = mem_try_alloc_aligned(FRAME_ALIGN, frame->cap);
    if (frame->data == NULL) {
        mem_free(frame);
        return NULL;
    }
    atomic_init(&frame->ref_count, 1);
    frame->size = FRAME_HEADER_SIZE;
    frame->kind = FRAME_ENTRIES;
    list_init(&frame->node);
    return frame;
}

int frame_reserve(struct frame *frame, size_t more)
{
    if (more <= frame->cap - frame->size)
        return 0;
    if (more > FRAME_CAP_MAX - frame->size)
        return -ENOMEM;
    size_t need = frame->size + more;
    size_t half_more = frame->cap + frame->cap / 2;
    size_t cap = align_up(need > half_more ? need : half_more, FRAME_ALIGN);
    uint8_t *data = mem_try_alloc_aligned(FRAME_ALIGN, cap);
    if (data == NULL)
        return -ENOMEM;
    memcpy(data, frame->data, frame->size);
    mem_free(frame->data);
    frame->data = data;
    frame->cap = cap;
    return 0;
}

struct frame *frame_ref(struct frame *frame)
{
    uint32_t before = atomic_fetch_add_explicit(&frame->ref_count, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return frame;
}

void frame_unref(struct frame *frame)
{
    if (frame == NULL)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&frame->ref_count, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before > 1)
        return;
    mem_free(frame->data);
    mem_free(frame);
}

void frame_put_entry_header(struct frame *frame, size_t off, size_t payload_size,
                            enum entry_type type)
{
    ASSERT(off >= FRAME_HEADER_SIZE && off + ENTRY_HEADER_SIZE <= frame->cap);
    ASSERT(payload_size <= FRAME_CAP_MAX);
    uint8_t *head = frame->data + off;
    memset(head, 0, ENTRY_HEADER_SIZE);
    put_u32(head, (uint32_t)payload_size);
    head[4] = (uint8_t)type;
}

bool frame_next_entry(const struct frame *frame, size_t *at, uint32_t nth,
                      struct log_entry *out_entry)
{
    if (nth >= frame->entry_count)
        return false;
    ASSERT(*at >= FRAME_HEADER_SIZE && *at <= frame->size);
    ASSERT(frame->size - *at >= ENTRY_HEADER_SIZE);
    const uint8_t *head = frame->data + *at;
    uint32_t size = get_u32(head);
    *at += ENTRY_HEADER_SIZE;
    ASSERT(size <= frame->size - *at);
    *out_entry = (struct log_entry){
        .index = frame->first_index + nth,
        .term = frame->term,
        .type = (enum entry_type)head[4],
        .payload = slice_of(frame->data + *at, size),
    };
    *at += size;
    return true;
}
