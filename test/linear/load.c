/* SPDX-License-Identifier: Apache-2.0 */
#include "linear/load.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

#define ROUND_MS     150
#define NS_PER_MS    INT64_C(1000000)
#define DROP_EACH_MS 4
#define OTHERS       8    /* one step in so many is of any kind at all */
#define CEILING_MS   1000 /* how far a restarted server's clock may be ahead */
#define NAME_SIZE    32

struct crew {
    const struct load *load;
    int64_t start_ns;
    int64_t end_ns;
    _Atomic bool is_stopped; /* a client has met what should not be */
    _Atomic unsigned hung_count;
    _Atomic unsigned lost_count;
    struct worker {
        struct crew *crew;
        struct client client;
        pthread_t thread;
    } workers[LOAD_CLIENTS];
};

struct round_name {
    char text[NAME_SIZE];
};

static struct round_name round_name(const struct load *load, unsigned number)
{
    struct round_name name;
    int len = snprintf(name.text, sizeof(name.text), "%s.%u", load->name, number);
    ASSERT(len > 0 && (size_t)len < sizeof(name.text));
    return name;
}

static enum step_kind choose_kind(const struct load *load, struct client *client)
{
    if (client_dice(client, OTHERS) == 0)
        return (enum step_kind)client_dice(client, STEP_KINDS);
    size_t count = strlen(load->kinds);
    const char *letter = strchr(STEP_LETTERS, load->kinds[client_dice(client, (unsigned)count)]);
    ASSERT(letter != NULL);
    return (enum step_kind)(letter - STEP_LETTERS);
}

static bool handle(struct crew *crew, struct client *client, enum client_result result)
{
    if (result == CLIENT_OK)
        return true;
    if (result == CLIENT_HUNG) {
        fprintf(stderr, "client %u has waited %u s for a reply\n", client->id, CLIENT_PATIENCE_S);
        atomic_fetch_add(&crew->hung_count, 1);
        return false;
    }
    atomic_fetch_add(&crew->lost_count, 1);
    if (crew->load->has_kill && client_open(client, crew->load->target->port))
        return true;
    fprintf(stderr, "client %u has lost its connection\n", client->id);
    return false;
}

static void *work(void *ctx)
{
    struct worker *worker = ctx;
    struct crew *crew = worker->crew;
    struct client *client = &worker->client;
    bool goes_on = client_open(client, crew->load->target->port);
    int64_t now_ns = client_now_ns();
    while (goes_on && now_ns < crew->end_ns && !atomic_load(&crew->is_stopped)) {
        unsigned number = (unsigned)((now_ns - crew->start_ns) / (ROUND_MS * NS_PER_MS));
        struct round_name name = round_name(crew->load, number);
        enum step_kind kind = choose_kind(crew->load, client);
        goes_on = handle(crew, client, step_run(kind, client, name.text));
        now_ns = client_now_ns();
    }
    if (!goes_on)
        atomic_store(&crew->is_stopped, true);
    return NULL;
}

/* ---- What happens to the server meanwhile ---- */

static void wait_until(int64_t ns)
{
    int64_t left_ms = (ns - client_now_ns()) / NS_PER_MS;
    if (left_ms > 0)
        poll(NULL, 0, (int)left_ms);
}

static bool disturb(struct crew *crew)
{
    const struct load *load = crew->load;
    int64_t half_ns = crew->start_ns + load->ms * NS_PER_MS / 2;
    bool is_killed = !load->has_kill;
    while (client_now_ns() < crew->end_ns && !atomic_load(&crew->is_stopped)) {
        if (!is_killed && client_now_ns() >= half_ns) {
            target_kill(load->target);
            is_killed = true;
            if (!target_start(load->target))
                return false;
        }
        if (load->is_cold)
            target_drop_cache(load->target);
        wait_until(client_now_ns() + DROP_EACH_MS * NS_PER_MS);
    }
    return true;
}

static bool configure(const struct load *load)
{
    struct client client;
    client_init(&client, LOAD_CLIENTS, 0);
    bool is_good = client_open(&client, load->target->port);
    if (is_good) {
        client_ask_aside(&client, "CONFIG SET hot-cache-max-value-size %s",
                         load->is_cold ? "0" : "64kb");
        is_good = client_send(&client) == CLIENT_OK && strcmp(client_reply(&client, 0), "OK") == 0;
    }
    client_fini(&client);
    return is_good;
}

/* ---- The history ---- */

static void add_history(struct history *to, const struct history *from)
{
    for (size_t i = 0; i < from->count; i++)
        history_add(to, &from->ops[i]);
}

static bool finish_rounds(struct crew *crew, struct history *history)
{
    const struct load *load = crew->load;
    struct client client;
    client_init(&client, LOAD_CLIENTS, 0);
    bool is_good = client_open(&client, load->target->port);
    unsigned count = (unsigned)((client_now_ns() - crew->start_ns) / (ROUND_MS * NS_PER_MS)) + 1;
    for (unsigned i = 0; i < count; i++) {
        struct round_name name = round_name(load, i);
        steps_add_rules(history, name.text);
        is_good = is_good && steps_finish(&client, name.text) == CLIENT_OK;
    }
    add_history(history, &client.history);
    client_fini(&client);
    return is_good;
}

static bool run_crew(struct crew *crew)
{
    const struct load *load = crew->load;
    crew->start_ns = client_now_ns();
    crew->end_ns = crew->start_ns + load->ms * NS_PER_MS;
    for (unsigned i = 0; i < LOAD_CLIENTS; i++) {
        struct worker *worker = &crew->workers[i];
        worker->crew = crew;
        client_init(&worker->client, i, load->seed * LOAD_CLIENTS + i);
        ASSERT(pthread_create(&worker->thread, NULL, work, worker) == 0);
    }
    bool is_good = disturb(crew);
    if (!is_good)
        atomic_store(&crew->is_stopped, true);
    for (unsigned i = 0; i < LOAD_CLIENTS; i++)
        pthread_join(crew->workers[i].thread, NULL);
    return is_good && !atomic_load(&crew->is_stopped);
}

enum load_result load_run(const struct load *load, struct history *history)
{
    if (load->has_kill)
        history->early_ms += CEILING_MS;
    struct crew *crew = mem_calloc(1, sizeof(*crew));
    crew->load = load;
    bool is_good = configure(load) && run_crew(crew);
    for (unsigned i = 0; i < LOAD_CLIENTS && crew->workers[i].crew != NULL; i++) {
        add_history(history, &crew->workers[i].client.history);
        client_fini(&crew->workers[i].client);
    }
    is_good = is_good && finish_rounds(crew, history);
    mem_free(crew);
    if (target_has_died(load->target))
        is_good = false;
    if (!is_good)
        target_show_log(load->target);
    return is_good ? LOAD_DONE : LOAD_FAILED;
}
