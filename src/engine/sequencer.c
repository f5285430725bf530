/* SPDX-License-Identifier: Apache-2.0 */
/* The sequencer gives everything its place.
 *
 *   waiting    ordered batches that have come and are not submitted
 *      | stamped, merged into one entry, submitted when the log has a slot (self-clocked group
 * commit) pending    entries in flight, and reads that stand behind them, oldest first | committed
 * and durable rounds     posted to the shards; the round counts its shards down and comes back
 *
 * Urgent reads go straight to the shards, behind what was dispatched. Reads that need a raised
 * clock go to pending if the time is covered by a committed ceiling, else into waiting with an
 * entry of their own (R22, R23).
 */
#include "engine/sequencer_internal.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "engine/engine_internal.h"

#define REPLAY_BUDGET   (4u * 1024 * 1024)
#define MAX_ROUNDS_OUT  64
#define MAX_ROUND_BYTES (64u * 1024 * 1024)
#define SECOND_MS       1000

/* ---- Dispatch ---- */

void sequencer_dispatch(struct sequencer *sequencer, struct round *round)
{
    struct group *group = sequencer->group;
    round->ended.run = sequencer_on_round_ended;
    bool is_for_all =
        round->kind == ROUND_MARK || (round->kind == ROUND_ENTRY && round->batches == NULL);
    uint32_t count = 0;
    for (uint32_t i = 0; i < round->part_count; i++)
        count += is_for_all || round->parts[i].first != NULL;
    sequencer->rounds_out++;
    sequencer->round_bytes_out += round->bytes;
    atomic_init(&round->parts_left, count);
    if (count == 0) {
        loop_post(sequencer->loop, &round->ended);
        return;
    }
    uint32_t part_count = round->part_count;
    for (uint32_t i = 0; i < part_count; i++) {
        struct round_part *part = &round->parts[i];
        if (!is_for_all && part->first == NULL)
            continue;
        part->post.run = shard_on_part;
        /* With its last part gone the round may end and be freed at once. */
        bool is_last = --count == 0;
        loop_post(group->shards[i].loop, &part->post);
        if (is_last)
            break;
    }
}

void sequencer_on_round_ended(struct loop_post *post)
{
    struct round *round = CONTAINER_OF(post, struct round, ended);
    struct sequencer *sequencer = &round->group->sequencer;
    sequencer->rounds_out--;
    sequencer->round_bytes_out -= round->bytes;
    /* Entries of different shards may end in another order than they began. */
    if (round->kind == ROUND_ENTRY &&
        round->index > group_published(round->group, PUB_APPLIED_INDEX))
        group_publish(round->group, PUB_APPLIED_INDEX, round->index);
    round_free(round);
}

static void add_batches(struct round *round, struct batch *batches)
{
    round->batches = batches;
    for (struct batch *batch = batches; batch != NULL; batch = batch->next)
        round_add_ops(round, batch);
}

/* Reads that stand where the last dispatched entry ends. */
void sequencer_dispatch_reads(struct sequencer *sequencer, struct batch *batches, uint64_t time_ms,
                              uint64_t now_ms)
{
    struct round *round = round_new(sequencer->group, ROUND_READS);
    round->time_ms = time_ms;
    round->now_ms = now_ms;
    add_batches(round, batches);
    sequencer_dispatch(sequencer, round);
}

uint64_t sequencer_now_for_reads(struct sequencer *sequencer)
{
    uint64_t now_ms = hlc_now_ms(&sequencer->hlc);
    return now_ms > sequencer->dispatched_ms ? now_ms : sequencer->dispatched_ms;
}

/* What stands behind the entry that was dispatched, up to the next entry. */
static void dispatch_reads_behind(struct sequencer *sequencer)
{
    while (sequencer->pending != NULL && sequencer->pending->index == 0) {
        struct pending_entry *entry = pop_pending(sequencer);
        uint64_t now_ms = sequencer_now_for_reads(sequencer);
        if (entry->time_ms != 0) {
            /* The clock was raised for it: everything stamped before is dispatched. */
            if (entry->time_ms > sequencer->dispatched_ms)
                sequencer->dispatched_ms = entry->time_ms;
            now_ms = sequencer->dispatched_ms;
        }
        sequencer_dispatch_reads(sequencer, entry->batches, sequencer->dispatched_ms, now_ms);
        mem_free(entry);
    }
}

/* ---- Pending ---- */

void sequencer_push_pending(struct sequencer *sequencer, struct pending_entry *entry)
{
    if (sequencer->pending_last == NULL)
        sequencer->pending = entry;
    else
        sequencer->pending_last->next = entry;
    sequencer->pending_last = entry;
}

struct pending_entry *pop_pending(struct sequencer *sequencer)
{
    struct pending_entry *entry = sequencer->pending;
    sequencer->pending = entry->next;
    if (sequencer->pending == NULL)
        sequencer->pending_last = NULL;
    return entry;
}

void sequencer_pend_reads(struct sequencer *sequencer, struct batch *batches, uint64_t time_ms)
{
    struct pending_entry *entry = mem_calloc(1, sizeof(*entry));
    entry->batches = batches;
    entry->time_ms = time_ms;
    sequencer_push_pending(sequencer, entry);
    dispatch_reads_behind(sequencer);
}

/* ---- What the log says ---- */

static void on_command(struct sequencer *sequencer, const struct log_entry *entry,
                       struct frame *frame)
{
    struct group *group = sequencer->group;
    struct entry_prefix prefix;
    int rc = entry_get_prefix(entry->payload, &prefix);
    if (rc != 0) {
        group_fail(group, "log entry %llu: %s. %s", (unsigned long long)entry->index, err_text(rc),
                   rc == ERR_VERSION ? "Start the version of Ferric that wrote it and stop that "
                                       "cleanly, then this one"
                                     : "Restore from a backup");
        return;
    }
    hlc_saw(&sequencer->hlc, prefix.hlc, prefix.ceiling_ms);
    if (prefix.ceiling_ms > sequencer->committed_ceiling_ms)
        sequencer->committed_ceiling_ms = prefix.ceiling_ms;
    struct round *round = round_new(group, ROUND_ENTRY);
    round->index = entry->index;
    round->time_ms = hlc_ms(prefix.hlc);
    round->now_ms = round->time_ms;
    round->frame = frame_ref(frame);
    round->bytes = entry->payload.len;
    struct pending_entry *pending = sequencer->pending;
    if (pending != NULL && pending->index == entry->index) {
        pop_pending(sequencer);
        add_batches(round, pending->batches);
        mem_free(pending);
    } else if (!sequencer_decode(sequencer, round, entry, prefix.count)) {
        round_free(round);
        return;
    }
    sequencer->dispatched_ms = round->time_ms;
    sequencer_dispatch(sequencer, round);
}

static void on_commit(void *ctx, const struct log_entry *entry, struct frame *frame)
{
    struct sequencer *sequencer = ctx;
    if (atomic_load_explicit(&sequencer->group->is_fatal, memory_order_relaxed))
        return;
    ASSERT(entry->index == sequencer->dispatched_index + 1);
    sequencer->dispatched_index = entry->index;
    group_publish(sequencer->group, PUB_COMMIT_INDEX, entry->index);
    if (entry->type == ENTRY_COMMAND)
        on_command(sequencer, entry, frame);
    dispatch_reads_behind(sequencer);
}

static void on_role(void *ctx, enum consensus_role role, uint64_t term)
{
    struct sequencer *sequencer = ctx;
    group_publish(sequencer->group, PUB_TERM, term);
    if (role == ROLE_LEADER)
        group_log(sequencer->group, '-', "leading the group in term %llu",
                  (unsigned long long)term);
}

static void on_unknown(void *ctx, uint64_t from_index, int error)
{
    struct sequencer *sequencer = ctx;
    char text[160];
    snprintf(text, sizeof(text), "UNKNOWN The command may or may not have been applied: %s",
             err_text(error));
    struct pending_entry *kept_last = NULL;
    struct pending_entry **link = &sequencer->pending;
    while (*link != NULL && ((*link)->index == 0 || (*link)->index < from_index)) {
        kept_last = *link;
        link = &(*link)->next;
    }
    struct pending_entry *lost = *link;
    *link = NULL;
    sequencer->pending_last = kept_last;
    while (lost != NULL) {
        struct pending_entry *next = lost->next;
        sequencer_refuse(lost->batches, text);
        mem_free(lost);
        lost = next;
    }
}

const struct consensus_events *sequencer_events(void)
{
    static const struct consensus_events events = {
        .on_commit = on_commit, .on_role = on_role, .on_unknown = on_unknown};
    return &events;
}

void sequencer_refuse(struct batch *batches, const char *text)
{
    for (struct batch *batch = batches; batch != NULL; batch = batch->next) {
        for (uint32_t i = 0; i < batch->op_count; i++)
            port_post_error(batch->port, batch->ops[i].token, batch->ops[i].size, text);
    }
    batch_free(batches);
}

void sequencer_set_log_error(struct sequencer *sequencer, int error)
{
    if (sequencer->log_error != 0)
        return;
    sequencer->log_error = error;
    struct group *group = sequencer->group;
    atomic_store(&group->log_error, error);
    if (group_state(group) == GROUP_READY)
        group_set_state(group, GROUP_LOG_FAILED);
    group_log(group, '#',
              "%.200s/log: %s; no more writes are taken, those that were under way were answered "
              "UNKNOWN. Check the disk and restart",
              group->options.dir, consensus_failure(sequencer->consensus));
}

/* ---- Turning ---- */

static bool take_commits(struct sequencer *sequencer)
{
    if (sequencer->rounds_out >= MAX_ROUNDS_OUT || sequencer->round_bytes_out >= MAX_ROUND_BYTES ||
        sequencer->reload != NULL)
        return false;
    /* In replay once a turn: who connects meanwhile is told so. */
    bool is_replaying = group_state(sequencer->group) == GROUP_REPLAYING;
    uint64_t turn = loop_stats(sequencer->loop).turns;
    if (is_replaying && turn == sequencer->replay_turn)
        return false;
    sequencer->replay_turn = turn;
    int error = 0;
    bool has_more = consensus_step(sequencer->consensus, REPLAY_BUDGET, &error);
    if (error != 0)
        sequencer_set_log_error(sequencer, error);
    if (is_replaying && has_more)
        loop_again(sequencer->loop);
    return has_more;
}

static void tell_replayed(const struct sequencer *sequencer)
{
    if (sequencer->replayed > 0)
        group_log(sequencer->group, '*', "the log is replayed (commands: %llu)",
                  (unsigned long long)sequencer->replayed);
}

/* READY once everything that was in the log has been executed (R34). No read is answered before the
 * clock is where the last process may have let reads see it (R23). */
static void note_ready(struct sequencer *sequencer)
{
    struct group *group = sequencer->group;
    if (group_state(group) != GROUP_REPLAYING || sequencer->is_stopping)
        return;
    if (consensus_is_ready(sequencer->consensus) && sequencer->rounds_out == 0) {
        hlc_resume(&sequencer->hlc);
        atomic_store(&group->hlc_ms, hlc_ms(sequencer->hlc.word));
        tell_replayed(sequencer);
        group_set_state(group, GROUP_READY);
        if (group->options.on_ready != NULL)
            group->options.on_ready(group->options.ctx);
        /* Of a copy that has begun its log: from now on that may not be missing. */
        if (sequencer->wanted != NULL || group->manifest.begins_log)
            checkpoint_begin(sequencer);
    } else if (sequencer->log_error != 0) {
        group_fail(group,
                   "%.200s/log, while it was replayed: %s. Nothing was changed; check the disk, "
                   "then start again",
                   group->options.dir, consensus_failure(sequencer->consensus));
    }
}

static void run_prep(struct pool_job *job)
{
    seglog_prep_run(CONTAINER_OF(job, struct sequencer, prep_job)->prep);
}

static void on_prep_done(struct pool_job *job)
{
    struct sequencer *sequencer = CONTAINER_OF(job, struct sequencer, prep_job);
    struct group *group = sequencer->group;
    int error = seglog_prep_done(sequencer->log, sequencer->prep);
    sequencer->prep = NULL;
    if (error != 0 && !sequencer->is_prep_failing)
        group_log(group, '#', "no log segment can be prepared (%s): free space on the volume",
                  err_text(error));
    if (error == 0 && sequencer->is_prep_failing)
        group_log(group, '*', "log segments can be prepared again");
    sequencer->is_prep_failing = error != 0;
    sequencer->prep_error = error;
    /* Writes are refused only when the ready segments are used up: submit_one() finds out. */
    if (error == 0)
        atomic_store(&group->is_disk_full, false);
    disk_guard_saw_mild(group, error);
}

/* Under pressure space is not taken for what a checkpoint gives without. */
static bool awaits_recycling(const struct sequencer *sequencer)
{
    if (!disk_guard_is_pressed(&sequencer->group->disk) || sequencer->is_stopping)
        return false;
    struct seglog_stats stats = seglog_stats(sequencer->log);
    return stats.ready_count == 0 && stats.spare_count == 0 && stats.segment_count > 1;
}

static void take_prep(struct sequencer *sequencer)
{
    /* On a full disk the records that are replayed need the space more: nothing is logged yet. */
    if (group_state(sequencer->group) == GROUP_REPLAYING)
        return;
    /* After a failure the next try waits for the second's tick. */
    if (sequencer->prep != NULL || sequencer->prep_error != 0 || sequencer->stop_phase == STOP_DONE)
        return;
    if (awaits_recycling(sequencer)) {
        disk_guard_relieve(sequencer->group);
        return;
    }
    sequencer->prep = seglog_prep_take(sequencer->log);
    if (sequencer->prep != NULL)
        pool_submit(sequencer->group->options.pool, POOL_BULK, &sequencer->prep_job,
                    sequencer->loop, run_prep, on_prep_done);
}

static void arm_consensus(struct sequencer *sequencer)
{
    uint64_t deadline_ms = consensus_deadline_ms(sequencer->consensus);
    if (deadline_ms == sequencer->armed_ms)
        return;
    sequencer->armed_ms = deadline_ms;
    uint64_t now_ms = loop_now_ms(sequencer->loop);
    if (deadline_ms == UINT64_MAX)
        loop_timer_disarm(&sequencer->consensus_timer);
    else
        loop_timer_arm(&sequencer->consensus_timer,
                       deadline_ms > now_ms ? deadline_ms - now_ms : 1);
}

static bool run_phase(struct loop_phase *phase)
{
    struct sequencer *sequencer = CONTAINER_OF(phase, struct sequencer, phase);
    if (atomic_load_explicit(&sequencer->group->is_fatal, memory_order_relaxed))
        return false;
    bool did = take_commits(sequencer);
    while (sequencer_submit_one(sequencer))
        did = true;
    take_prep(sequencer);
    note_ready(sequencer);
    arm_consensus(sequencer);
    if (sequencer->is_stopping)
        did |= sequencer_stop_step(sequencer);
    return did;
}

/* ---- The second's tick: what is due when nothing happens ---- */

bool sequencer_has_due_keys(const struct sequencer *sequencer, uint64_t now_ms)
{
    const struct group *group = sequencer->group;
    for (uint32_t i = 0; i < group->stores.count; i++) {
        if (atomic_load_explicit(&group->shards[i].stats.next_due_ms, memory_order_relaxed) <=
            now_ms)
            return true;
    }
    return false;
}

/* Committed time moves on for keys that are due while nothing is written (R14). */
static void tick_clock(struct sequencer *sequencer)
{
    uint64_t now_ms = hlc_now_ms(&sequencer->hlc);
    if (group_state(sequencer->group) != GROUP_READY || sequencer->waiting != NULL ||
        atomic_load_explicit(&sequencer->group->is_expire_passive, memory_order_relaxed) ||
        atomic_load_explicit(&sequencer->group->expiry_held_ms, memory_order_relaxed) >
            loop_now_ms(sequencer->loop) ||
        !sequencer_has_due_keys(sequencer, now_ms) || now_ms <= sequencer->dispatched_ms)
        return;
    struct batch *batch = batch_new(NULL, BATCH_CLOCK);
    sequencer_wait(sequencer, batch);
}

static void publish_log(struct sequencer *sequencer)
{
    struct group *group = sequencer->group;
    struct seglog_stats stats = seglog_stats(sequencer->log);
    group_publish(group, PUB_ENTRIES_FRAMES, stats.entries_frames);
    group_publish(group, PUB_OTHER_FRAMES, stats.other_frames);
    group_publish(group, PUB_LOG_BYTES, stats.bytes);
    group_publish(group, PUB_LOG_LIVE_BYTES, stats.live_bytes);
    group_publish(group, PUB_LOG_SEGMENTS, stats.segment_count);
    group_publish(group, PUB_LOG_SPARES, stats.spare_count);
    group_publish(group, PUB_LOG_RECYCLED, stats.segments_recycled);
    group_publish(group, PUB_LOG_PREPARED, stats.segments_prepared);
    group_publish(group, PUB_HLC_MS, hlc_ms(sequencer->hlc.word));
    group_publish(group, PUB_CLOCK_REFUSED_MS, (uint64_t)sequencer->hlc.refused_ms);
}

static void on_second(struct loop_timer *timer)
{
    struct sequencer *sequencer = CONTAINER_OF(timer, struct sequencer, second_timer);
    loop_timer_arm(timer, SECOND_MS);
    sequencer->prep_error = 0;
    tick_clock(sequencer);
    if (!sequencer->is_stopping)
        checkpoint_tick(sequencer);
    disk_guard_tick(sequencer->group);
    publish_log(sequencer);
}

static void on_consensus_timer(struct loop_timer *timer)
{
    /* Having woken the loop is all: the phase steps and arms it anew. */
    CONTAINER_OF(timer, struct sequencer, consensus_timer)->armed_ms = 0;
}

static void on_log_event(struct loop_watch *watch, unsigned events)
{
    (void)watch;
    (void)events;
}

/* ---- Life ---- */

void sequencer_start(struct sequencer *sequencer)
{
    struct loop *loop = sequencer->loop;
    sequencer->replay_turn = UINT64_MAX;
    loop_timer_init(loop, &sequencer->consensus_timer, on_consensus_timer);
    loop_timer_init(loop, &sequencer->second_timer, on_second);
    loop_timer_arm(&sequencer->second_timer, SECOND_MS);
    int fd = seglog_fd(sequencer->log);
    if (fd >= 0 && loop_watch_open(loop, &sequencer->log_watch, fd, on_log_event) == 0) {
        loop_watch_set(&sequencer->log_watch, LOOP_READABLE);
        sequencer->has_log_watch = true;
    }
    ASSERT(fd < 0 || sequencer->has_log_watch);
    loop_phase_add(loop, &sequencer->phase, run_phase, PHASE_SEQUENCER);
}

static void on_log_unwatched(struct loop_watch *watch)
{
    (void)watch; /* the descriptor is the log's */
}

void sequencer_stop(struct sequencer *sequencer)
{
    loop_phase_del(sequencer->loop, &sequencer->phase);
    loop_timer_fini(&sequencer->consensus_timer);
    loop_timer_fini(&sequencer->second_timer);
    if (sequencer->has_log_watch)
        loop_watch_close(&sequencer->log_watch, on_log_unwatched);
    sequencer->has_log_watch = false;
    disk_guard_stop(sequencer->group);
}

void sequencer_fini(struct sequencer *sequencer)
{
    while (sequencer->pending != NULL) {
        struct pending_entry *entry = pop_pending(sequencer);
        batch_free(entry->batches);
        mem_free(entry);
    }
    batch_free(sequencer->waiting);
    checkpoint_free(sequencer->checkpoint); /* a fatal error came before its end */
    reload_free(sequencer->reload);
    backup_free(sequencer->backup);
    mem_free(sequencer->stop_hints);
    consensus_close(sequencer->consensus);
}
