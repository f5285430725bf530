/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net.h"

#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/net_internal.h"

static void deliver_rests(struct net *net, struct list_node *resumed)
{
    struct list_node *node = list_pop_front(resumed);
    for (; node != NULL; node = list_pop_front(resumed)) {
        net->is_called = true;
        conn_deliver_rest(LIST_ENTRY(node, struct conn, resume_node));
    }
}

static void flush_all(struct list_node *dirty)
{
    struct list_node *node = list_pop_front(dirty);
    for (; node != NULL; node = list_pop_front(dirty))
        conn_flush(LIST_ENTRY(node, struct conn, dirty_node));
}

/* Connections that become dirty or resume meanwhile wait for the next round of the turn. */
static bool run_phase(struct loop_phase *phase)
{
    struct net *net = CONTAINER_OF(phase, struct net, phase);
    if (list_is_empty(&net->dirty) && list_is_empty(&net->resumed))
        return false;
    struct list_node resumed;
    struct list_node dirty;
    list_init(&resumed);
    list_init(&dirty);
    list_splice_back(&resumed, &net->resumed);
    net->is_called = false;
    deliver_rests(net, &resumed);
    list_splice_back(&dirty, &net->dirty);
    flush_all(&dirty);
    return net->is_called || !list_is_empty(&net->dirty);
}

int net_new(const struct net_options *options, struct net **out_net)
{
    struct net *net = mem_calloc(1, sizeof(*net));
    net->read_buf = mem_try_alloc(NET_JOIN_SIZE + NET_READ_SIZE);
    if (net->read_buf == NULL) {
        mem_free(net);
        return -ENOMEM;
    }
    net->loop = options->loop;
    list_init(&net->dirty);
    list_init(&net->resumed);
    loop_phase_add(net->loop, &net->phase, run_phase, options->flush_order);
    *out_net = net;
    return 0;
}

void net_free(struct net *net)
{
    if (net == NULL)
        return;
    ASSERT(net->conn_count == 0);
    loop_phase_del(net->loop, &net->phase);
    while (net->free_chunks != NULL) {
        struct conn_chunk *chunk = net->free_chunks;
        net->free_chunks = chunk->next;
        buf_fini(&chunk->buf);
        mem_free(chunk);
    }
    buf_fini(&net->sink);
    mem_free(net->read_buf);
    mem_free(net);
}

struct conn_chunk *net_take_chunk(struct net *net)
{
    struct conn_chunk *chunk = net->free_chunks;
    if (chunk == NULL)
        return mem_calloc(1, sizeof(*chunk));
    net->free_chunks = chunk->next;
    net->free_count--;
    chunk->next = NULL;
    return chunk;
}

void net_drop_chunk(struct net *net, struct conn_chunk *chunk)
{
    if (chunk->is_owned || chunk->buf.cap > NET_CHUNK_KEEP || net->free_count == NET_FREE_CHUNKS) {
        buf_fini(&chunk->buf);
        mem_free(chunk);
        return;
    }
    buf_reset(&chunk->buf, NET_CHUNK_KEEP);
    chunk->off = 0;
    chunk->counted = 0;
    chunk->next = net->free_chunks;
    net->free_chunks = chunk;
    net->free_count++;
}
