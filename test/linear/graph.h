/* SPDX-License-Identifier: Apache-2.0 */
/* graph: what must come before what, and whether that goes round in a circle.
 *
 * Nodes are 0 .. node_count - 1, an edge says that its first node comes before its second, and why.
 */
#ifndef LINEAR_GRAPH_H
#define LINEAR_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct graph_edge {
    uint32_t from;
    uint32_t to;
    uint32_t why;
};

struct graph {
    uint32_t node_count;
    struct graph_edge *edges;
    size_t edge_count;
    size_t edge_cap;
};

void graph_init(struct graph *graph, uint32_t node_count);
void graph_fini(struct graph *graph);

/* An edge from a node to itself says nothing and is left out. */
void graph_add(struct graph *graph, uint32_t from, uint32_t to, uint32_t why);

struct graph_cycle {
    struct graph_edge *edges; /* each begins where the one before ends, the first where the last */
    size_t count;             /* 0: there is none */
};

/* Looks for a cycle; of those it finds, one with few nodes below `costly_count`: the others are
 * only ways. Give it to graph_cycle_fini(). */
struct graph_cycle graph_find_cycle(const struct graph *graph, uint32_t costly_count);
void graph_cycle_fini(struct graph_cycle *cycle);

#endif
