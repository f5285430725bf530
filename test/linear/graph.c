/* SPDX-License-Identifier: Apache-2.0 */
/* A cycle lies within one strongly connected component, and a component of more than one node has
 * one. Components are found by Tarjan's algorithm with a stack of its own instead of recursion
 * ("Depth-first search and linear graph algorithms", 1972); then a breadth-first walk inside the
 * component leads from a node back to itself.
 */
#include "linear/graph.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define NONE       UINT32_MAX
#define MAX_STARTS 50 /* nodes from which a short cycle is looked for */

void graph_init(struct graph *graph, uint32_t node_count)
{
    *graph = (struct graph){.node_count = node_count};
}

void graph_fini(struct graph *graph)
{
    mem_free(graph->edges);
    *graph = (struct graph){0};
}

void graph_add(struct graph *graph, uint32_t from, uint32_t to, uint32_t why)
{
    ASSERT(from < graph->node_count && to < graph->node_count);
    if (from == to)
        return;
    if (graph->edge_count == graph->edge_cap) {
        graph->edge_cap = graph->edge_cap == 0 ? 1024 : graph->edge_cap * 2;
        graph->edges = mem_realloc(graph->edges, graph->edge_cap * sizeof(*graph->edges));
    }
    graph->edges[graph->edge_count++] = (struct graph_edge){.from = from, .to = to, .why = why};
}

/* ---- Edges by node ---- */

struct ways {
    const struct graph *graph;
    size_t *first; /* of each node, in `sorted`; one more at the end */
    const struct graph_edge **sorted;
};

static void ways_init(struct ways *ways, const struct graph *graph)
{
    ways->graph = graph;
    ways->first = mem_calloc((size_t)graph->node_count + 2, sizeof(*ways->first));
    ways->sorted = mem_calloc(graph->edge_count + 1, sizeof(*ways->sorted));
    size_t *next = ways->first + 1;
    for (size_t i = 0; i < graph->edge_count; i++)
        next[graph->edges[i].from + 1]++;
    for (uint32_t node = 0; node < graph->node_count; node++)
        next[node + 1] += next[node];
    /* Filling moves each entry to where the next node begins: first[] is then what it should be. */
    for (size_t i = 0; i < graph->edge_count; i++)
        ways->sorted[next[graph->edges[i].from]++] = &graph->edges[i];
    ASSERT(ways->first[graph->node_count] == graph->edge_count);
}

static void ways_fini(struct ways *ways)
{
    mem_free(ways->first);
    mem_free(ways->sorted);
}

/* ---- Components ---- */

struct tarjan {
    const struct ways *ways;
    uint32_t *index;
    uint32_t *low;
    uint32_t *component; /* NONE until known */
    size_t *next_edge;
    uint32_t *path;
    size_t path_count;
    uint32_t *open; /* in no component yet */
    size_t open_count;
    uint32_t next_index;
    uint32_t big; /* a node of a component with more than one, or NONE */
};

static void enter(struct tarjan *tarjan, uint32_t node)
{
    tarjan->index[node] = tarjan->low[node] = tarjan->next_index++;
    tarjan->next_edge[node] = tarjan->ways->first[node];
    tarjan->path[tarjan->path_count++] = node;
    tarjan->open[tarjan->open_count++] = node;
}

static void leave(struct tarjan *tarjan)
{
    uint32_t node = tarjan->path[--tarjan->path_count];
    if (tarjan->path_count > 0) {
        uint32_t parent = tarjan->path[tarjan->path_count - 1];
        if (tarjan->low[node] < tarjan->low[parent])
            tarjan->low[parent] = tarjan->low[node];
    }
    if (tarjan->low[node] != tarjan->index[node])
        return;
    if (tarjan->open[tarjan->open_count - 1] != node)
        tarjan->big = node;
    uint32_t member;
    do {
        member = tarjan->open[--tarjan->open_count];
        tarjan->component[member] = node;
    } while (member != node);
}

static void walk_from(struct tarjan *tarjan, uint32_t start)
{
    enter(tarjan, start);
    while (tarjan->path_count > 0) {
        uint32_t node = tarjan->path[tarjan->path_count - 1];
        if (tarjan->next_edge[node] == tarjan->ways->first[node + 1]) {
            leave(tarjan);
            continue;
        }
        uint32_t to = tarjan->ways->sorted[tarjan->next_edge[node]++]->to;
        if (tarjan->index[to] == NONE)
            enter(tarjan, to);
        else if (tarjan->component[to] == NONE && tarjan->index[to] < tarjan->low[node])
            tarjan->low[node] = tarjan->index[to];
    }
}

/* Fills component[] and returns a node of one that has a cycle, or NONE. */
static uint32_t find_components(const struct ways *ways, uint32_t *component)
{
    size_t count = ways->graph->node_count;
    struct tarjan tarjan = {.ways = ways, .component = component, .big = NONE};
    tarjan.index = mem_alloc((count + 1) * sizeof(uint32_t));
    tarjan.low = mem_calloc(count + 1, sizeof(uint32_t));
    tarjan.next_edge = mem_calloc(count + 1, sizeof(size_t));
    tarjan.path = mem_calloc(count + 1, sizeof(uint32_t));
    tarjan.open = mem_calloc(count + 1, sizeof(uint32_t));
    memset(tarjan.index, 0xff, count * sizeof(uint32_t));
    memset(component, 0xff, count * sizeof(uint32_t));
    for (uint32_t node = 0; node < count; node++) {
        if (tarjan.index[node] == NONE)
            walk_from(&tarjan, node);
    }
    mem_free(tarjan.index);
    mem_free(tarjan.low);
    mem_free(tarjan.next_edge);
    mem_free(tarjan.path);
    mem_free(tarjan.open);
    return tarjan.big;
}

/* ---- A short way round ---- */

struct walk {
    const struct ways *ways;
    const uint32_t *component;
    uint32_t costly_count;
    uint32_t *cost;
    const struct graph_edge **came_by;
    uint32_t *queue; /* two-ended: nodes that cost nothing go in front */
    size_t queue_size;
};

static void visit_ways(struct walk *walk, uint32_t node, size_t *front, size_t *back)
{
    for (size_t i = walk->ways->first[node]; i < walk->ways->first[node + 1]; i++) {
        const struct graph_edge *edge = walk->ways->sorted[i];
        uint32_t price = edge->to < walk->costly_count;
        if (walk->component[edge->to] != walk->component[node] ||
            walk->cost[edge->to] <= walk->cost[node] + price)
            continue;
        walk->cost[edge->to] = walk->cost[node] + price;
        walk->came_by[edge->to] = edge;
        if (price == 0)
            walk->queue[--*front] = edge->to;
        else
            walk->queue[(*back)++] = edge->to;
    }
}

/* The cost of the cheapest way from `start` back to it; came_by[] says how. */
static uint32_t walk_round(struct walk *walk, uint32_t start)
{
    size_t count = walk->ways->graph->node_count;
    memset(walk->cost, 0xff, count * sizeof(*walk->cost));
    size_t front = walk->queue_size / 2;
    size_t back = front;
    /* The start's own cost stays open, so that it is found again. */
    walk->cost[start] = 0;
    visit_ways(walk, start, &front, &back);
    walk->cost[start] = NONE;
    while (front < back && walk->cost[start] == NONE) {
        uint32_t node = walk->queue[front++];
        visit_ways(walk, node, &front, &back);
    }
    return walk->cost[start];
}

static struct graph_cycle take_cycle(const struct walk *walk, uint32_t start)
{
    struct graph_cycle cycle = {0};
    uint32_t node = start;
    do {
        node = walk->came_by[node]->from;
        cycle.count++;
    } while (node != start);
    cycle.edges = mem_calloc(cycle.count, sizeof(*cycle.edges));
    size_t at = cycle.count;
    do {
        cycle.edges[--at] = *walk->came_by[node];
        node = walk->came_by[node]->from;
    } while (node != start);
    return cycle;
}

static struct graph_cycle find_short(struct walk *walk, uint32_t member)
{
    struct graph_cycle best = {0};
    uint32_t best_cost = NONE;
    size_t starts = 0;
    for (uint32_t node = 0; node < walk->costly_count && starts < MAX_STARTS; node++) {
        if (walk->component[node] != walk->component[member])
            continue;
        starts++;
        uint32_t cost = walk_round(walk, node);
        if (cost >= best_cost)
            continue;
        best_cost = cost;
        graph_cycle_fini(&best);
        best = take_cycle(walk, node);
    }
    return best;
}

struct graph_cycle graph_find_cycle(const struct graph *graph, uint32_t costly_count)
{
    struct ways ways;
    ways_init(&ways, graph);
    size_t count = graph->node_count;
    uint32_t *component = mem_calloc(count + 1, sizeof(*component));
    uint32_t member = find_components(&ways, component);
    struct graph_cycle cycle = {0};
    if (member != NONE) {
        struct walk walk = {.ways = &ways, .component = component, .costly_count = costly_count};
        walk.cost = mem_calloc(count + 1, sizeof(*walk.cost));
        walk.came_by = mem_calloc(count + 1, sizeof(*walk.came_by));
        /* A node is queued once for each edge at most. */
        walk.queue_size = 2 * (graph->edge_count + 1);
        walk.queue = mem_calloc(walk.queue_size, sizeof(*walk.queue));
        cycle = find_short(&walk, member);
        mem_free(walk.cost);
        mem_free(walk.came_by);
        mem_free(walk.queue);
    }
    mem_free(component);
    ways_fini(&ways);
    return cycle;
}

void graph_cycle_fini(struct graph_cycle *cycle)
{
    mem_free(cycle->edges);
    *cycle = (struct graph_cycle){0};
}
