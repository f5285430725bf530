/* SPDX-License-Identifier: Apache-2.0 */
/* Opening: lock, manifest, log, data files of all shards in parallel, consensus, components.
 *
 * A directory without a manifest must be empty of data: a manifest that has been lost must not make
 * what it named look like garbage (R1). The first one is durable before the first frame.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "bitcask/datafile.h"
#include "engine/engine_internal.h"
#include "engine/group_backup.h"
#include "os/thread.h"

#define PATH_SIZE    4096
#define PROGRESS_MS  500
#define MAX_OPENERS  16
#define ELECTION_MS  1000
#define HEARTBEAT_MS 100
#define LOCK_WAIT_MS 3000
#define LOCK_TRY_MS  10

static int path_of(char *to, const char *dir, const char *name, struct diag *diag)
{
    int len = snprintf(to, PATH_SIZE, "%s/%s", dir, name);
    if (len < 0 || len >= PATH_SIZE)
        return diag_set(diag, ERR_TOO_BIG, "the data directory's name is too long");
    return 0;
}

static int shard_path(char *to, const char *dir, uint32_t shard, struct diag *diag)
{
    char name[32];
    snprintf(name, sizeof(name), "data/shard_%u", shard);
    return path_of(to, dir, name, diag);
}

static int make_dir(struct fs *fs, const char *path, struct diag *diag)
{
    int rc = fs_mkdir(fs, path);
    if (rc != 0 && rc != -EEXIST)
        return diag_set(diag, rc, "%.300s cannot be made: %s", path, err_text(rc));
    return 0;
}

static int sync_dir(struct fs *fs, const char *path, struct diag *diag)
{
    int rc = fs_sync_dir(fs, path);
    return rc == 0 ? 0 : diag_set(diag, rc, "%.300s cannot be synced: %s", path, err_text(rc));
}

/* Directories for data, their names durable before a manifest speaks of them. */
static int make_dirs(const struct group_options *options, uint32_t shard_count, struct diag *diag)
{
    char path[PATH_SIZE];
    int rc = path_of(path, options->dir, "data", diag);
    if (rc == 0)
        rc = make_dir(options->os.fs, path, diag);
    for (uint32_t i = 0; rc == 0 && i < shard_count; i++) {
        rc = shard_path(path, options->dir, i, diag);
        if (rc == 0)
            rc = make_dir(options->os.fs, path, diag);
    }
    if (rc == 0)
        rc = path_of(path, options->dir, "data", diag);
    if (rc == 0)
        rc = sync_dir(options->os.fs, path, diag);
    return rc == 0 ? sync_dir(options->os.fs, options->dir, diag) : rc;
}

/* ---- Without a manifest ---- */

static int refuse_log_file(void *ctx, const char *name)
{
    (void)ctx;
    size_t len = strlen(name);
    return len > 4 && strcmp(name + len - 4, ".log") == 0 ? ERR_EXISTS : 0;
}

struct data_search {
    const struct group_options *options;
    char found[PATH_SIZE];
};

static int look_into_shard(void *ctx, const char *name)
{
    struct data_search *search = ctx;
    snprintf(search->found, sizeof(search->found), "%.3000s/data/%.900s", search->options->dir,
             name);
    struct fs_stat st;
    int rc = fs_stat(search->options->os.fs, search->found, &st);
    if (rc != 0 || !st.is_dir)
        return rc;
    return fs_list(search->options->os.fs, search->found, refuse_log_file, NULL);
}

static int refuse_data(const struct group_options *options, struct diag *diag)
{
    struct data_search search = {.options = options};
    char path[PATH_SIZE];
    struct fs_stat st;
    int rc = path_of(path, options->dir, BACKUP_MARKER, diag);
    if (rc == 0 && fs_stat(options->os.fs, path, &st) == 0)
        return diag_set(diag, ERR_CORRUPT,
                        "%.300s holds a backup that was not finished: remove it, and start on "
                        "another directory",
                        options->dir);
    if (rc == 0)
        rc = path_of(path, options->dir, "data", diag);
    if (rc != 0)
        return rc;
    rc = fs_list(options->os.fs, path, look_into_shard, &search);
    if (rc == -ENOENT)
        return 0;
    if (rc == ERR_EXISTS)
        return diag_set(diag, ERR_CORRUPT,
                        "%.200s has data files, but %.100s/" MANIFEST_NAME
                        ", which says what they hold, is missing; another directory starts empty",
                        search.found, options->dir);
    return rc == 0 ? 0 : diag_set(diag, rc, "%.300s cannot be listed: %s", path, err_text(rc));
}

static void new_manifest(struct group *group)
{
    const struct group_options *options = &group->options;
    struct chance *chance = options->os.chance;
    uint32_t shards =
        options->shard_count != 0 ? options->shard_count : options->default_shard_count;
    struct manifest *manifest = &group->manifest;
    *manifest = (struct manifest){
        .group_id = chance_u64(chance),
        .node_id = chance_u64(chance) >> 1 | 1,
        .hash_point = chance_u64(chance),
        .database_count = options->database_count,
        .shard_count = shards,
    };
    manifest->database_ids = mem_calloc(manifest->database_count, sizeof(*manifest->database_ids));
    for (uint32_t i = 0; i < manifest->database_count; i++)
        manifest->database_ids[i] = (uint16_t)i;
    manifest->shards = mem_calloc(shards, sizeof(*manifest->shards));
    for (uint32_t i = 0; i < shards; i++)
        manifest->shards[i].next_file_id = 1;
}

/* ---- With one ---- */

/* More databases than before get the next free ids; fewer than before only hides the rest. True if
 * there are more. */
static bool grow_databases(struct manifest *manifest, uint32_t count)
{
    if (count <= manifest->database_count)
        return false;
    uint16_t next = 0;
    for (uint32_t i = 0; i < manifest->database_count; i++) {
        if (manifest->database_ids[i] >= next)
            next = (uint16_t)(manifest->database_ids[i] + 1);
    }
    manifest->database_ids =
        mem_realloc(manifest->database_ids, count * sizeof(*manifest->database_ids));
    for (uint32_t i = manifest->database_count; i < count; i++)
        manifest->database_ids[i] = next++;
    manifest->database_count = count;
    return true;
}

/* True if the manifest has to be saved before the first entry that relies on it. What commands of
 * the log answered hung on how many databases there were, so it is replayed with as many (R13). */
static bool fit_databases(struct group *group, uint64_t last_index)
{
    uint32_t wanted = group->options.database_count;
    uint32_t count = group->manifest.database_count;
    if (last_index == group->manifest.index)
        return grow_databases(&group->manifest, wanted);
    if (wanted > count) {
        group_log(group, '#',
                  "there will be %u databases, not %u, until the next start: the log is replayed "
                  "with as many as it was written with",
                  count, wanted);
        group->fitted_databases = count;
    }
    return false;
}

static int check_manifest(struct group *group, struct diag *diag)
{
    const struct group_options *options = &group->options;
    struct manifest *manifest = &group->manifest;
    if (manifest->shard_count > STORES_MAX)
        return diag_set(diag, ERR_CORRUPT, "%.300s/" MANIFEST_NAME " names %u shards", options->dir,
                        manifest->shard_count);
    if (options->shard_count != 0 && options->shard_count != manifest->shard_count)
        return diag_set(diag, ERR_MISMATCH,
                        "%.300s has %u shards and cannot be opened with %u: leave --shards out, or "
                        "give --shards %u",
                        options->dir, manifest->shard_count, options->shard_count,
                        manifest->shard_count);
    return 0;
}

/* ---- Data files, shard by shard in parallel ---- */

struct opening {
    struct group *group;
    struct lock lock;
    struct signal changed;
    uint32_t next;
    uint32_t running;
    _Atomic uint64_t done_bytes;
    uint64_t total_bytes;
    int error;
    struct diag diag;
};

static void on_remark(void *ctx, const char *text)
{
    group_log(ctx, '#', "%s", text);
}

static struct store_options store_options_of(const struct group *group, uint32_t shard,
                                             const char *path)
{
    const struct group_options *options = &group->options;
    const struct manifest *manifest = &group->manifest;
    return (struct store_options){
        .os = options->os,
        .epoch = options->epoch,
        .dir = path,
        .shard = shard,
        .hash_seed = group->stores.hash_seed,
        .database_count = manifest->database_count,
        .database_ids = manifest->database_ids,
        .max_file_size = options->max_file_size,
        .state_ms = manifest->state_ms,
        .next_file_id = manifest->shards[shard].next_file_id,
        .named = manifest->shards[shard].files,
        .named_count = manifest->shards[shard].file_count,
        .lfu = options->lfu,
        .hot_max_value = options->hot_max_value,
        .on_remark = on_remark,
        .remark_ctx = (void *)(uintptr_t)group,
    };
}

static int open_store(struct opening *opening, uint32_t shard, struct diag *diag)
{
    struct group *group = opening->group;
    char path[PATH_SIZE];
    int rc = shard_path(path, group->options.dir, shard, diag);
    if (rc != 0)
        return rc;
    const struct store_options options = store_options_of(group, shard, path);
    return store_open(&options, &opening->done_bytes, &group->stores.shards[shard], diag);
}

int group_recover_again(const struct group *group, uint32_t shard, struct store **out_fresh,
                        struct diag *diag)
{
    char path[PATH_SIZE];
    int rc = shard_path(path, group->options.dir, shard, diag);
    if (rc != 0)
        return rc;
    const struct store_options options = store_options_of(group, shard, path);
    return store_recover_again(&options, out_fresh, diag);
}

static void open_some(void *ctx)
{
    struct opening *opening = ctx;
    lock_take(&opening->lock);
    while (opening->error == 0 && opening->next < opening->group->stores.count) {
        uint32_t shard = opening->next++;
        lock_drop(&opening->lock);
        struct diag diag = {.text = ""};
        int rc = open_store(opening, shard, &diag);
        lock_take(&opening->lock);
        if (rc != 0 && opening->error == 0) {
            opening->error = rc;
            opening->diag = diag;
        }
    }
    opening->running--;
    signal_all(&opening->changed);
    lock_drop(&opening->lock);
}

static void tell_progress(struct group *group, const char *what, uint64_t done, uint64_t total)
{
    if (group->options.on_progress != NULL)
        group->options.on_progress(group->options.ctx, what, done, total);
}

/* False if there is no thread to be had. */
static bool open_in_parallel(struct opening *opening)
{
    struct thread threads[MAX_OPENERS] = {0};
    uint32_t count = opening->group->stores.count;
    uint32_t cpus = thread_cpu_count();
    count = count < cpus ? count : cpus;
    count = count < MAX_OPENERS ? count : MAX_OPENERS;
    lock_take(&opening->lock);
    for (uint32_t i = 0; i < count; i++) {
        if (thread_start(&threads[i], "recovery", open_some, opening) == 0)
            opening->running++;
    }
    bool has_threads = opening->running > 0;
    while (opening->running > 0) {
        signal_wait_ms(&opening->changed, &opening->lock, PROGRESS_MS);
        tell_progress(opening->group, "data files", atomic_load(&opening->done_bytes),
                      opening->total_bytes);
    }
    lock_drop(&opening->lock);
    for (uint32_t i = 0; i < count; i++)
        thread_join(&threads[i]);
    return has_threads;
}

/* What the scan of a file counts: its records, without the header. */
static uint64_t bytes_to_scan(uint64_t length)
{
    return length > DATAFILE_HEADER_SIZE ? length - DATAFILE_HEADER_SIZE : 0;
}

/* The manifest in memory knows which of its files take no more records. */
static void note_sealed(struct group *group)
{
    for (uint32_t i = 0; i < group->manifest.shard_count; i++) {
        struct manifest_shard *shard = &group->manifest.shards[i];
        mem_free(shard->files);
        shard->files =
            bitcask_mark_files(store_bitcask(group->stores.shards[i]), &shard->file_count);
    }
}

static int open_stores(struct group *group, struct diag *diag)
{
    const struct manifest *manifest = &group->manifest;
    struct opening opening = {.group = group};
    for (uint32_t i = 0; i < manifest->shard_count; i++) {
        for (size_t j = 0; j < manifest->shards[i].file_count; j++)
            opening.total_bytes += bytes_to_scan(manifest->shards[i].files[j].length);
    }
    lock_init(&opening.lock);
    signal_init(&opening.changed);
    if (group->options.is_serial || !open_in_parallel(&opening)) {
        opening.running = 1;
        open_some(&opening);
    }
    signal_fini(&opening.changed);
    lock_fini(&opening.lock);
    if (opening.error != 0 && diag != NULL)
        *diag = opening.diag;
    if (opening.error == 0)
        note_sealed(group);
    return opening.error;
}

/* ---- Log and consensus ---- */

static void on_log_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
    tell_progress(ctx, "log", done_bytes, total_bytes);
}

/* As many segments as there may be between two checkpoints. */
unsigned group_max_spare(const struct group *group)
{
    return (unsigned)(group->options.log_budget / group->options.segment_size) + 1;
}

static int try_log(struct group *group, bool must_be_empty, struct diag *diag)
{
    const struct group_options *options = &group->options;
    char path[PATH_SIZE];
    int rc = path_of(path, options->dir, "log", diag);
    if (rc != 0)
        return rc;
    return seglog_open(
        &(struct seglog_options){
            .os = options->os,
            .aio = options->aio,
            .dir = path,
            .group_id = group->manifest.group_id,
            .segment_size = options->segment_size,
            .max_in_flight = options->frames_in_flight,
            .max_spare = group_max_spare(group),
            .checkpoint_index = group->manifest.index,
            .checkpoint_term = group->manifest.term,
            .must_be_empty = must_be_empty,
            .may_begin = group->manifest.begins_log,
            .on_progress = on_log_progress,
            .ctx = group,
        },
        &group->log, &group->found, diag);
}

/* The first segment of this life may need what the reserve was kept for. */
static int open_log(struct group *group, bool must_be_empty, struct diag *diag)
{
    int rc = try_log(group, must_be_empty, diag);
    if ((rc == -ENOSPC || rc == -EDQUOT) && disk_guard_open_again(group))
        rc = try_log(group, must_be_empty, diag);
    return rc;
}

static int open_consensus(struct group *group, struct diag *diag)
{
    struct sequencer *sequencer = &group->sequencer;
    const struct manifest *manifest = &group->manifest;
    sequencer->log = group->log;
    sequencer->dispatched_index = manifest->index;
    sequencer->dispatched_ms = manifest->state_ms;
    sequencer->committed_ceiling_ms = manifest->ceiling_ms;
    hlc_init(&sequencer->hlc, group->options.os.clock, manifest->ceiling_ms,
             group->options.max_clock_step_ms);
    return consensus_open(
        &(struct consensus_options){
            .os = group->options.os,
            .log = group->log,
            .found = &group->found,
            .self_id = manifest->node_id,
            .address = "self",
            .checkpoint_index = manifest->index,
            .checkpoint_term = manifest->term,
            .configuration = buf_slice(&manifest->configuration),
            .configuration_index = manifest->configuration_index,
            .election_timeout_ms = ELECTION_MS,
            .heartbeat_ms = HEARTBEAT_MS,
            .events = sequencer_events(),
            .ctx = sequencer,
        },
        &sequencer->consensus, diag);
}

/* ---- Assembly ---- */

static void take_defaults(struct group_options *options)
{
    const struct {
        unsigned *option;
        unsigned value;
    } numbers[] = {
        {&options->segment_size, 64u * 1024 * 1024}, {&options->frames_in_flight, 2},
        {&options->flush_interval_ms, 10},           {&options->checkpoint_interval_ms, 10000},
        {&options->checkpoint_idle_ms, 250},         {&options->checkpoint_max_delay_ms, 180000},
        {&options->max_clock_step_ms, 60000},        {&options->database_count, 16},
        {&options->default_shard_count, 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        if (*numbers[i].option == 0)
            *numbers[i].option = numbers[i].value;
    }
    const struct {
        uint64_t *option;
        uint64_t value;
    } sizes[] = {
        {&options->log_budget, UINT64_C(1) << 30},  {&options->max_file_size, UINT64_C(256) << 20},
        {&options->max_entry_bytes, 32u << 20},     {&options->max_in_flight_bytes, 64u << 20},
        {&options->max_unwritten_bytes, 32u << 20},
    };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        if (*sizes[i].option == 0)
            *sizes[i].option = sizes[i].value;
    }
    /* No checkpoint frees the segment that is being written: a smaller budget would never be met,
     * and writes would wait for that. */
    if (options->log_budget < options->segment_size)
        options->log_budget = options->segment_size;
    /* A frame fits half a segment (R33). */
    if (options->max_entry_bytes > options->segment_size / 2)
        options->max_entry_bytes = options->segment_size / 2;
}

static bool is_one_loop(const struct group_options *options)
{
    for (uint32_t i = 0; i < options->io_loop_count; i++) {
        if (options->io_loops[i] != options->log_loop)
            return false;
    }
    for (uint32_t i = 0; i < options->shard_loop_count; i++) {
        if (options->shard_loops[i] != options->log_loop)
            return false;
    }
    return true;
}

static void start_components(struct group *group)
{
    const struct group_options *options = &group->options;
    atomic_init(&group->tally_settings.slow_us, UINT64_MAX);
    group->shards = mem_calloc(group->stores.count, sizeof(*group->shards));
    for (uint32_t i = 0; i < group->stores.count; i++)
        shard_init(&group->shards[i], group, i, options->shard_loops[i % options->shard_loop_count],
                   group->stores.shards[i]);
    for (uint32_t i = 0; i < group->stores.count; i++)
        shard_start(&group->shards[i]);
    sequencer_start(&group->sequencer);
}

/* A process that was killed holds the lock until its last writes have landed (O9). */
static int take_lock(struct group *group, const char *path)
{
    const struct group_options *options = &group->options;
    int rc = fs_lock(options->os.fs, path, &group->lock);
    unsigned tries = options->is_serial ? 0 : LOCK_WAIT_MS / LOCK_TRY_MS;
    for (unsigned i = 0; rc == ERR_BUSY && i < tries; i++) {
        thread_sleep_ms(LOCK_TRY_MS);
        rc = fs_lock(options->os.fs, path, &group->lock);
    }
    return rc;
}

static int open_state(struct group *group, struct diag *diag)
{
    const struct group_options *options = &group->options;
    char path[PATH_SIZE];
    int rc = path_of(path, options->dir, "lock", diag);
    if (rc != 0)
        return rc;
    rc = take_lock(group, path);
    if (rc == ERR_BUSY)
        return diag_set(
            diag, rc,
            "%.300s is in use by another Ferric: stop that one, or give another --dir (one "
            "that was killed holds it until its last writes have reached the disk)",
            options->dir);
    if (rc != 0)
        return diag_set(diag, rc,
                        "%.300s: %s. The data directory must be a folder that this user may write",
                        path, err_text(rc));
    rc = aio_hold(options->aio, group->lock);
    if (rc != 0)
        return diag_set(diag, rc, "%.300s cannot be held: %s", path, err_text(rc));
    rc = manifest_load(options->os.fs, options->dir, &group->manifest, diag);
    bool is_new = rc == ERR_NOT_FOUND;
    if (is_new)
        rc = refuse_data(options, diag);
    if (rc != 0)
        return rc;
    if (is_new)
        new_manifest(group);
    rc = check_manifest(group, diag);
    if (rc == 0)
        rc = make_dirs(options, group->manifest.shard_count, diag);
    if (rc == 0) {
        disk_guard_open(group);
        rc = open_log(group, is_new, diag);
    }
    if (rc == 0 && (fit_databases(group, group->found.last_index) || is_new))
        rc = manifest_save(options->os.fs, options->dir, &group->manifest, diag);
    if (rc != 0)
        return rc;
    if (group->found.cut_frames > 0)
        group_log(group, '*',
                  "the log ends in %llu bytes of writes that were never acknowledged: cut",
                  (unsigned long long)group->found.cut_bytes);
    group->identity = group->manifest.group_id;
    group->stores.count = group->manifest.shard_count;
    group->stores.hash_seed = chance_u64(options->os.chance);
    group->stores.is_single_threaded = is_one_loop(options);
    return open_stores(group, diag);
}

struct group *group_new(const struct group_options *options)
{
    struct group *group = mem_calloc(1, sizeof(*group));
    group->options = *options;
    take_defaults(&group->options);
    lock_init(&group->merge_lock);
    group->merge_settings = options->merge;
    ASSERT(options->io_loop_count > 0 && options->shard_loop_count > 0);
    group->sequencer.group = group;
    group->sequencer.loop = group->options.log_loop;
    for (uint32_t i = 0; i < options->io_loop_count; i++) {
        port_init(&group->ports[i], group, i, options->io_loops[i]);
        port_start(&group->ports[i]);
    }
    return group;
}

int group_recover(struct group *group, struct diag *diag)
{
    return open_state(group, diag);
}

/* Here the first frame goes to the log's queue, and the thread that sends it must live on (O6): so
 * this is no part of the recovery. */
int group_start(struct group *group, struct diag *diag)
{
    int rc = open_consensus(group, diag);
    if (rc != 0)
        return rc;
    /* Loops read it while the recovery ran. */
    if (group->fitted_databases != 0)
        group->options.database_count = group->fitted_databases;
    start_components(group);
    atomic_store_explicit(&group->is_started, true, memory_order_release);
    return 0;
}

void group_free_unstarted(struct group *group)
{
    for (uint32_t i = 0; i < group->options.io_loop_count; i++) {
        port_stop(&group->ports[i]);
        port_fini(&group->ports[i]);
    }
    for (uint32_t i = 0; i < group->stores.count; i++)
        store_close(group->stores.shards[i]);
    group_close_rest(group);
}

int group_open(const struct group_options *options, struct group **out_group, struct diag *diag)
{
    struct group *group = group_new(options);
    int rc = group_recover(group, diag);
    if (rc == 0)
        rc = group_start(group, diag);
    if (rc != 0) {
        group_free_unstarted(group);
        return rc;
    }
    *out_group = group;
    return 0;
}

/* Where the end came unprepared, frames may still be with the disk. */
static void close_log(struct seglog *log)
{
    if (log == NULL)
        return;
    while (seglog_in_flight(log) > 0) {
        seglog_flush(log);
        IGNORE(seglog_poll(log), "nobody waits for them any more");
    }
    seglog_close(log);
}

void group_close_rest(struct group *group)
{
    close_log(group->log);
    manifest_fini(&group->manifest);
    aio_close(group->options.aio);
    file_unref(group->lock);
    lock_fini(&group->merge_lock);
    mem_free(group->shards);
    mem_free(group);
}

void group_stop_parts(struct group *group)
{
    sequencer_stop(&group->sequencer);
    for (uint32_t i = 0; i < group->options.io_loop_count; i++)
        port_stop(&group->ports[i]);
    for (uint32_t i = 0; i < group->stores.count; i++)
        shard_stop(&group->shards[i]);
}

void group_close(struct group *group)
{
    if (group == NULL)
        return;
    for (uint32_t i = 0; i < group->options.io_loop_count; i++)
        port_fini(&group->ports[i]);
    sequencer_fini(&group->sequencer);
    for (uint32_t i = 0; i < group->stores.count; i++)
        shard_fini(&group->shards[i]);
    group_close_rest(group);
}
