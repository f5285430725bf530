/* SPDX-License-Identifier: Apache-2.0 */
/* A shard takes rounds in the order of the log and executes its list of each, one op after the
 * other. It stops in two places only: at a barrier, where it is lent to whoever executes the op
 * over several shards (R20), and at a command whose value has to be read from disk (R19). While it
 * is lent, nothing of it runs here: what jobs bring back is noted and taken in afterwards.
 */
#include "engine/shard_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

#define FLUSH_BYTES    (256u * 1024) /* so many collected bytes are written without waiting */
#define BUCKETS_AHEAD  6
#define ROWS_AHEAD     4
#define RETRY_MS       100
#define STEP_BUDGET    512
#define STATS_EVERY_MS 50

/* ---- The append lane (R32) ---- */

static void run_write(struct pool_job *job)
{
    bitcask_write_run(CONTAINER_OF(job, struct shard, write_job)->write);
}

/* From the first failed append on, until one has succeeded, the group takes no writes. */
static void set_write_failing(struct shard *shard, bool is_failing, const struct diag *diag)
{
    uint64_t bit = UINT64_C(1) << shard->idx;
    _Atomic uint64_t *set = &shard->group->shards_failing;
    if (is_failing && (atomic_fetch_or(set, bit) & bit) == 0)
        group_log(shard->group, '#', "cannot write data files, will go on trying: %s", diag->text);
    if (!is_failing && (atomic_load_explicit(set, memory_order_relaxed) & bit) != 0) {
        atomic_fetch_and(set, ~bit);
        group_log(shard->group, '*', "shard %u: data files can be written again", shard->idx);
    }
}

static void take_write_back(struct shard *shard)
{
    shard->has_write_back = false;
    struct bitcask_write *write = shard->write;
    shard->write = NULL;
    struct diag diag = {.text = ""};
    int rc = bitcask_write_done(store_bitcask(shard->store), write, &diag);
    if (rc != 0) {
        /* Clean: the records stay collected and are written again. */
        set_write_failing(shard, true, &diag);
        disk_guard_saw(shard->group, rc);
        shard->is_write_failing = true;
        loop_timer_arm(&shard->retry_timer, RETRY_MS);
        if (shard->mark != NULL && atomic_load(&shard->group->is_ending))
            checkpoint_give_up(shard, rc, &diag);
        return;
    }
    set_write_failing(shard, false, NULL);
    shard->is_write_failing = false;
    uint64_t rotations = atomic_load_explicit(&shard->stats.rotations, memory_order_relaxed);
    shard_publish_stats(shard);
    upkeep_note_written(
        shard, atomic_load_explicit(&shard->stats.rotations, memory_order_relaxed) != rotations);
    if (shard->mark != NULL)
        checkpoint_on_written(shard);
}

static void on_write_back(struct pool_job *job)
{
    struct shard *shard = CONTAINER_OF(job, struct shard, write_job);
    shard->has_write_back = true;
    if (shard->state != SHARD_AT_BARRIER)
        take_write_back(shard);
}

void shard_flush(struct shard *shard)
{
    if (shard->write != NULL || shard->is_write_failing || shard->is_settling)
        return;
    shard->write = bitcask_write_take(store_bitcask(shard->store));
    if (shard->write != NULL)
        pool_submit(shard->group->options.pool, POOL_APPEND, &shard->write_job, shard->loop,
                    run_write, on_write_back);
}

static void on_flush_timer(struct loop_timer *timer)
{
    struct shard *shard = CONTAINER_OF(timer, struct shard, flush_timer);
    if (shard->state != SHARD_AT_BARRIER)
        shard_flush(shard);
}

static void on_retry_timer(struct loop_timer *timer)
{
    struct shard *shard = CONTAINER_OF(timer, struct shard, retry_timer);
    if (shard->state == SHARD_AT_BARRIER) {
        loop_timer_arm(timer, RETRY_MS);
        return;
    }
    shard->is_write_failing = false;
    shard_flush(shard);
    if (shard->write == NULL)
        return;
    shard->is_write_failing = true; /* until it has come back well */
}

/* ---- Executing rounds ---- */

static void release_others(struct shard *shard, const struct op *op)
{
    struct group *group = shard->group;
    for (uint32_t i = 0; i < group->stores.count; i++) {
        struct shard *other = &group->shards[i];
        if ((op->shards >> i & 1) != 0 && other != shard)
            loop_post(other->loop, &other->released);
    }
}

static void on_released(struct loop_post *post)
{
    struct shard *shard = CONTAINER_OF(post, struct shard, released);
    ASSERT(shard->state == SHARD_AT_BARRIER);
    shard->state = SHARD_RUNNING;
    shard->current = shard->current->next;
}

static void on_wake(struct loop_post *post)
{
    /* Running it as a post has woken the loop: the phase does the rest. */
    struct shard *shard = CONTAINER_OF(post, struct shard, wake);
    atomic_store(&shard->is_wake_posted, false);
}

/* The table is larger than any cache: while one op runs, the buckets of the ops some way behind it
 * are on their way, and the rows of those nearer by. */
static void look_ahead(struct shard *shard)
{
    if (shard->bucket_ahead != NULL) {
        const struct op *op = shard->bucket_ahead->op;
        keydir_prefetch_bucket(store_keydir(shard->store, op->db), op->hash);
        shard->bucket_ahead = shard->bucket_ahead->next;
    }
    if (shard->row_ahead != NULL) {
        const struct op *op = shard->row_ahead->op;
        keydir_prefetch_row(store_keydir(shard->store, op->db), op->hash);
        shard->row_ahead = shard->row_ahead->next;
    }
}

static void begin_looking(struct shard *shard, struct work *first)
{
    shard->row_ahead = NULL;
    shard->bucket_ahead = first;
    for (unsigned i = 0; i < BUCKETS_AHEAD; i++)
        look_ahead(shard);
    shard->row_ahead = first;
    for (unsigned i = 0; i < ROWS_AHEAD; i++)
        look_ahead(shard);
}

/* Runs the current work. False if the shard has been parked at it. */
static bool run_current(struct shard *shard, const struct round *round)
{
    struct op *op = shard->current->op;
    look_ahead(shard);
    bool is_multi = (op->flags & OP_MULTI) != 0;
    if (is_multi && !shard->holds_barrier) {
        event_line_post(shard_events(shard->group, shard->idx));
        if (atomic_fetch_sub(&op->barrier->missing, 1) != 1) {
            shard->state = SHARD_AT_BARRIER;
            return false;
        }
        shard->holds_barrier = true;
    }
    if (shard_execute(shard, round, op) == EXEC_PARKED)
        return false;
    shard->current = shard->current->next;
    if (is_multi) {
        shard->holds_barrier = false;
        release_others(shard, op);
    }
    return true;
}

static void begin_head(struct shard *shard)
{
    struct round_part *part = shard->head;
    shard->is_head_begun = true;
    shard->current = part->first;
    begin_looking(shard, part->first);
    if (part->round->kind == ROUND_MARK)
        checkpoint_on_mark(shard, part->round->checkpoint);
}

static void end_head(struct shard *shard)
{
    struct round_part *part = shard->head;
    struct round *round = part->round;
    store_set_applied_ms(shard->store, round->time_ms);
    shard->head = part->next;
    if (shard->head == NULL)
        shard->tail = NULL;
    shard->is_head_begun = false;
    /* The part is the round's: not to be touched once the count says that it is finished. */
    if (atomic_fetch_sub(&round->parts_left, 1) == 1)
        loop_post(shard->group->sequencer.loop, &round->ended);
}

/* No more is applied while too much waits for the disk (R32, P7). At the end that which is on its
 * way is, for the disk may never catch up; what the files lack is in the log. */
static bool is_disk_behind(const struct shard *shard)
{
    const struct group *group = shard->group;
    return bitcask_unwritten_bytes(store_bitcask(shard->store)) >
               group->options.max_unwritten_bytes &&
           !atomic_load_explicit(&group->is_ending, memory_order_relaxed);
}

static bool run_heads(struct shard *shard)
{
    bool did = false;
    while (shard->state == SHARD_RUNNING && shard->head != NULL) {
        if (!shard->is_head_begun) {
            if (is_disk_behind(shard) || events_are_behind(&shard->group->events))
                break;
            begin_head(shard);
        }
        did = true;
        while (shard->current != NULL) {
            if (!run_current(shard, shard->head->round))
                return true;
        }
        end_head(shard);
    }
    return did;
}

static bool run_rounds(struct shard *shard)
{
    if (shard->state != SHARD_RUNNING || shard->head == NULL)
        return false;
    tally_start(shard->tally);
    bool did = run_heads(shard);
    tally_split(shard->tally);
    return did;
}

static void publish_expired(struct shard *shard)
{
    uint64_t count = store_expired_keys(shard->store);
    if (count != atomic_load_explicit(&shard->stats.expired_keys, memory_order_relaxed))
        atomic_store_explicit(&shard->stats.expired_keys, count, memory_order_relaxed);
}

static bool is_expiry_held(const struct shard *shard)
{
    uint64_t held_ms = atomic_load_explicit(&shard->group->expiry_held_ms, memory_order_relaxed);
    return UNLIKELY(held_ms != 0) && held_ms > loop_now_ms(shard->loop);
}

/* What a turn does beside commands; true if more is left. */
static bool step_store(struct shard *shard)
{
    /* Each one that goes is an event, and those that wait for it have had enough for now (G15). */
    store_hold_expiry(shard->store,
                      is_expiry_held(shard) || events_are_behind(&shard->group->events));
    bool has_more = store_step(shard->store, STEP_BUDGET);
    publish_expired(shard);
    return has_more;
}

bool shard_sweep(struct shard *shard)
{
    if (shard->state != SHARD_RUNNING || events_are_behind(&shard->group->events))
        return false;
    bool has_more = store_sweep(shard->store, STEP_BUDGET);
    publish_expired(shard);
    return has_more;
}

/* What a command has found expired is then gone when its reply comes, as in Redis. */
static void sweep_passive(struct shard *shard)
{
    if (!atomic_load_explicit(&shard->group->is_expire_passive, memory_order_relaxed) ||
        is_expiry_held(shard))
        return;
    while (shard_sweep(shard)) {
        /* All of it: this is for DEBUG alone. */
    }
}

static bool run_phase(struct loop_phase *phase)
{
    struct shard *shard = CONTAINER_OF(phase, struct shard, phase);
    if (atomic_load_explicit(&shard->group->is_fatal, memory_order_relaxed))
        return false;
    if (shard->state == SHARD_AT_BARRIER)
        return false;
    if (shard->has_write_back)
        take_write_back(shard);
    if (shard->has_sync_back)
        checkpoint_on_synced(shard);
    if (shard->reload != NULL)
        reload_take_in(shard);
    shard_look_settled(shard);
    bool did = run_rounds(shard);
    sweep_passive(shard);
    shard_post_replies(shard);
    if (shard->state != SHARD_RUNNING)
        return did;
    upkeep_step(shard);
    size_t unwritten = bitcask_unwritten_bytes(store_bitcask(shard->store));
    if (unwritten >= FLUSH_BYTES || (unwritten > 0 && shard->mark != NULL))
        shard_flush(shard);
    else if (unwritten > 0 && shard->write == NULL && !loop_timer_is_armed(&shard->flush_timer))
        loop_timer_arm(&shard->flush_timer, shard->group->options.flush_interval_ms);
    if (step_store(shard))
        loop_again(shard->loop);
    event_line_post(shard_events(shard->group, shard->idx));
    if (did && loop_now_ms(shard->loop) - shard->stats_at_ms >= STATS_EVERY_MS)
        shard_publish_stats(shard);
    return did;
}

void shard_on_part(struct loop_post *post)
{
    struct round_part *part = CONTAINER_OF(post, struct round_part, post);
    struct shard *shard = &part->round->group->shards[part->shard];
    part->next = NULL;
    if (shard->tail == NULL)
        shard->head = part;
    else
        shard->tail->next = part;
    shard->tail = part;
}

/* ---- Life ---- */

void shard_publish_stats(struct shard *shard)
{
    struct store_stats stats = store_stats(shard->store);
    struct bitcask_stats files = bitcask_stats(store_bitcask(shard->store));
    struct shard_stats *to = &shard->stats;
    const struct {
        _Atomic uint64_t *word;
        uint64_t value;
    } words[] = {
        {&to->expired_keys, stats.expired_keys},
        {&to->keydir_bytes, stats.keydir_bytes},
        {&to->expiry_bytes, stats.expiry_bytes},
        {&to->retired_bytes, stats.retired_bytes},
        {&to->unwritten_bytes, stats.unwritten_bytes},
        {&to->cold_rows, stats.cold_rows},
        {&to->rotations, files.rotations},
        {&to->data_files, files.file_count},
        {&to->data_bytes, files.bytes},
        {&to->data_live_bytes, files.live_bytes},
        {&to->replaced_bytes, files.retired_bytes},
        {&to->wants_checkpoint, bitcask_wants_checkpoint(store_bitcask(shard->store))},
        {&to->upkeep.hints_written, files.hints_written},
        {&to->next_due_ms, store_next_due_ms(shard->store)},
    };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        atomic_store_explicit(words[i].word, words[i].value, memory_order_relaxed);
    shard->stats_at_ms = loop_now_ms(shard->loop);
}

void shard_init(struct shard *shard, struct group *group, uint32_t idx, struct loop *loop,
                struct store *store)
{
    *shard = (struct shard){.group = group, .idx = idx, .loop = loop, .store = store};
    shard->tx = tx_new(&group->stores);
    shard->tally = tally_new(group->options.table, group->options.os.clock, &group->tally_settings);
    shard->released.run = on_released;
    shard->wake.run = on_wake;
    shard->events.group = group;
    store_on_expired(store, shard_on_expired, shard);
    loop_timer_init(loop, &shard->flush_timer, on_flush_timer);
    loop_timer_init(loop, &shard->retry_timer, on_retry_timer);
    upkeep_init(shard);
    shard_publish_stats(shard);
}

void shard_start(struct shard *shard)
{
    loop_phase_add(shard->loop, &shard->phase, run_phase, PHASE_SHARD);
}

void shard_stop(struct shard *shard)
{
    loop_phase_del(shard->loop, &shard->phase);
    loop_timer_fini(&shard->flush_timer);
    loop_timer_fini(&shard->retry_timer);
    upkeep_stop(shard);
}

/* After a fatal error, or an end during replay, not everything has been executed. */
static void drop_rounds(struct shard *shard)
{
    while (shard->head != NULL) {
        struct round_part *part = shard->head;
        shard->head = part->next;
        if (atomic_fetch_sub(&part->round->parts_left, 1) == 1)
            round_free(part->round);
    }
    while (shard->replies != NULL) {
        struct reply_batch *batch = shard->replies;
        shard->replies = batch->next;
        reply_batch_free(batch);
    }
}

/* What jobs brought back while the shard was lent. */
static void drop_jobs(struct shard *shard)
{
    struct bitcask *bitcask = store_bitcask(shard->store);
    if (shard->write != NULL)
        IGNORE(bitcask_write_done(bitcask, shard->write, NULL), "the log has the records");
    if (shard->sync != NULL)
        IGNORE(bitcask_sync_done(bitcask, shard->sync, NULL), "no manifest will name the files");
}

void shard_fini(struct shard *shard)
{
    drop_rounds(shard);
    drop_jobs(shard);
    upkeep_fini(shard);
    event_line_fini(&shard->events);
    tx_free(shard->tx);
    tally_free(shard->tally);
    mem_free(shard->argv);
    buf_fini(&shard->scratch);
    store_close(shard->store);
}
