/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/group_backup.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"
#include "bitcask/hint.h"
#include "engine/engine_internal.h"
#include "engine/upkeep/backup_place.h"
#include "engine/upkeep/upkeep.h"

/*   log loop   no data file is removed from now on; a checkpoint
 *   pool       folders; each named file linked or copied, synced; folders synced; the manifest
 *   log loop   files may be removed again
 *
 * A file that is linked has two names from then on. Nothing of ours ever cuts, extends or recycles
 * such a file (B10), so the copy stays what it was when we merge and remove our own name.
 */

#define COPY_SIZE (1024u * 1024)

struct backup {
    struct group *group;
    struct group_backup_request *request;
    struct group_checkpoint_request checkpoint;
    struct pool_job job;
    struct manifest manifest;
    uint8_t *buffer;
    bool has_made_dir;
    bool has_begun; /* what lies in the target is ours */
};

static struct fs *fs_of(const struct backup *backup)
{
    return backup->group->options.os.fs;
}

static void count_done(const struct backup *backup, uint64_t bytes)
{
    atomic_fetch_add_explicit(&backup->group->backup_done_bytes, bytes, memory_order_relaxed);
}

/* ---- Files, on the pool ---- */

static int fail_at(struct backup *backup, int rc, const char *what, const char *path)
{
    return diag_set(&backup->request->diag, rc, "%s %.700s: %s", what, path, err_text(rc));
}

static int copy_bytes(struct backup *backup, struct file *from, struct file *to, uint64_t length)
{
    for (uint64_t off = 0; off < length;) {
        if (atomic_load_explicit(&backup->group->is_ending, memory_order_relaxed))
            return ERR_STOPPING;
        size_t size = length - off < COPY_SIZE ? (size_t)(length - off) : COPY_SIZE;
        size_t done = 0;
        int rc = file_read_full(from, backup->buffer, size, off);
        if (rc == 0)
            rc = file_write_full(to, backup->buffer, size, off, &done);
        if (rc != 0)
            return rc;
        off += size;
        count_done(backup, size);
    }
    backup->request->bytes += length;
    return file_sync(to);
}

static int copy_file(struct backup *backup, const char *from, const char *to, uint64_t length)
{
    struct file *source = NULL;
    struct file *target = NULL;
    int rc = fs_open(fs_of(backup), from, FS_READ, &source);
    if (rc != 0)
        return fail_at(backup, rc, "cannot open", from);
    rc = fs_open(fs_of(backup), to, FS_WRITE | FS_CREATE | FS_EXCL, &target);
    if (rc == 0)
        rc = copy_bytes(backup, source, target, length);
    if (rc != 0)
        fail_at(backup, rc, "cannot write", to);
    file_unref(source);
    file_unref(target);
    return rc;
}

static void path_in(char *to, const char *dir, uint32_t shard, uint32_t id, const char *suffix)
{
    int len = snprintf(to, BACKUP_PATH_SIZE, "%s/data/shard_%u/%05u%s", dir, shard, id, suffix);
    ASSERT(len > 0 && len < BACKUP_PATH_SIZE);
}

/* A second name, if that is safe and the filesystem can. */
static bool link_file(struct backup *backup, const struct bitcask_named *file, const char *from,
                      const char *to)
{
    struct fs_stat st;
    return file->is_sealed && fs_stat(fs_of(backup), from, &st) == 0 && st.size == file->length &&
           fs_link(fs_of(backup), from, to) == 0;
}

/* A hint is never changed either; the copy can do without. */
static void link_hint(struct backup *backup, uint32_t shard, uint32_t id)
{
    char from[BACKUP_PATH_SIZE];
    char to[BACKUP_PATH_SIZE];
    path_in(from, backup->group->options.dir, shard, id, HINT_SUFFIX);
    path_in(to, backup->request->dir, shard, id, HINT_SUFFIX);
    IGNORE(fs_link(fs_of(backup), from, to), "an accelerator");
}

static int take_file(struct backup *backup, uint32_t shard, const struct bitcask_named *file)
{
    char from[BACKUP_PATH_SIZE];
    char to[BACKUP_PATH_SIZE];
    path_in(from, backup->group->options.dir, shard, file->id, DATAFILE_SUFFIX);
    path_in(to, backup->request->dir, shard, file->id, DATAFILE_SUFFIX);
    if (!link_file(backup, file, from, to))
        return copy_file(backup, from, to, file->length);
    link_hint(backup, shard, file->id);
    count_done(backup, file->length);
    return 0;
}

/* ---- Folders, on the pool ---- */

static int refuse_name(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return -ENOTEMPTY;
}

static int make_dir(struct backup *backup, const char *path)
{
    int rc = fs_mkdir(fs_of(backup), path);
    return rc == 0 ? 0 : fail_at(backup, rc, "cannot make the folder", path);
}

static int make_target(struct backup *backup)
{
    const char *dir = backup->request->dir;
    int rc = fs_mkdir(fs_of(backup), dir);
    backup->has_made_dir = rc == 0;
    if (rc == -EEXIST)
        rc = fs_list(fs_of(backup), dir, refuse_name, NULL);
    if (rc == -ENOTEMPTY)
        return diag_set(&backup->request->diag, rc,
                        "%.700s is not empty: name a directory that does not exist", dir);
    backup->has_begun = rc == 0;
    return rc == 0 ? 0 : fail_at(backup, rc, "cannot make the folder", dir);
}

static void marker_path(const struct backup *backup, char *to)
{
    snprintf(to, BACKUP_PATH_SIZE, "%s/" BACKUP_MARKER, backup->request->dir);
}

static int sync_dir(struct backup *backup, const char *path)
{
    int rc = fs_sync_dir(fs_of(backup), path);
    return rc == 0 ? 0 : fail_at(backup, rc, "cannot sync", path);
}

static int set_marker(struct backup *backup)
{
    char path[BACKUP_PATH_SIZE];
    struct file *file = NULL;
    marker_path(backup, path);
    int rc = fs_open(fs_of(backup), path, FS_WRITE | FS_CREATE, &file);
    file_unref(file);
    return rc == 0 ? sync_dir(backup, backup->request->dir)
                   : fail_at(backup, rc, "cannot write", path);
}

static int remove_marker(struct backup *backup)
{
    char path[BACKUP_PATH_SIZE];
    marker_path(backup, path);
    int rc = fs_unlink(fs_of(backup), path);
    return rc == 0 ? sync_dir(backup, backup->request->dir)
                   : fail_at(backup, rc, "cannot remove", path);
}

/* Is there room for what is copied? On our own volume so much must stay free that writes go on. */
static int check_room(struct backup *backup)
{
    const struct group_options *options = &backup->group->options;
    struct fs_space there;
    struct fs_space here;
    if (fs_space(fs_of(backup), backup->request->dir, &there) != 0 ||
        fs_space(fs_of(backup), options->dir, &here) != 0)
        return 0; /* then it shows */
    uint64_t needed = 0;
    for (uint32_t i = 0; i < backup->manifest.shard_count; i++) {
        const struct manifest_shard *shard = &backup->manifest.shards[i];
        for (size_t j = 0; j < shard->file_count; j++)
            needed += shard->files[j].is_sealed ? 0 : shard->files[j].length;
    }
    bool is_same_volume = there.total_bytes == here.total_bytes;
    uint64_t left = is_same_volume ? atomic_load(&backup->group->disk.low_bytes) : 0;
    if (there.free_bytes >= needed + left)
        return 0;
    return diag_set(&backup->request->diag, -ENOSPC,
                    "%.300s: %llu MiB are free there; it takes %llu, and %llu must stay free. Free "
                    "space, or name a directory on another volume",
                    backup->request->dir, (unsigned long long)(there.free_bytes >> 20),
                    (unsigned long long)(needed >> 20), (unsigned long long)(left >> 20));
}

/* Half a copy is none, and takes space. */
static void remove_all(struct backup *backup)
{
    char path[BACKUP_PATH_SIZE];
    struct fs *fs = fs_of(backup);
    const char *dir = backup->request->dir;
    for (uint32_t i = 0; i < backup->manifest.shard_count; i++) {
        const struct manifest_shard *shard = &backup->manifest.shards[i];
        for (size_t j = 0; j < shard->file_count; j++) {
            path_in(path, dir, i, shard->files[j].id, HINT_SUFFIX);
            IGNORE(fs_unlink(fs, path), "most are not there");
            path_in(path, dir, i, shard->files[j].id, DATAFILE_SUFFIX);
            IGNORE(fs_unlink(fs, path), "some are not there");
        }
        snprintf(path, sizeof(path), "%s/data/shard_%u", dir, i);
        IGNORE(fs_rmdir(fs, path), "as far as it was made");
    }
    snprintf(path, sizeof(path), "%s/data", dir);
    IGNORE(fs_rmdir(fs, path), "as far as it was made");
    /* The marker last, and durably so: half of it is never taken for none. */
    marker_path(backup, path);
    if (fs_sync_dir(fs, dir) == 0)
        IGNORE(fs_unlink(fs, path), "then it is refused");
    if (backup->has_made_dir)
        IGNORE(fs_rmdir(fs, dir), "what else is in it is not ours");
}

static int take_shard(struct backup *backup, uint32_t shard)
{
    const struct manifest_shard *files = &backup->manifest.shards[shard];
    char path[BACKUP_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/data/shard_%u", backup->request->dir, shard);
    int rc = make_dir(backup, path);
    for (size_t i = 0; i < files->file_count && rc == 0; i++)
        rc = take_file(backup, shard, &files->files[i]);
    return rc == 0 ? sync_dir(backup, path) : rc;
}

/* The folder that the target lies in. */
static int sync_parent(struct backup *backup)
{
    char path[BACKUP_PATH_SIZE];
    backup_parent(backup->request->dir, path);
    return sync_dir(backup, path);
}

static int take_all(struct backup *backup)
{
    char path[BACKUP_PATH_SIZE];
    const char *dir = backup->request->dir;
    snprintf(path, sizeof(path), "%s/data", dir);
    int rc = backup_refuse_links(backup->group, dir, &backup->request->diag);
    if (rc == 0)
        rc = make_target(backup);
    if (rc == 0)
        rc = check_room(backup);
    if (rc == 0)
        rc = set_marker(backup);
    if (rc == 0)
        rc = make_dir(backup, path);
    for (uint32_t i = 0; i < backup->manifest.shard_count && rc == 0; i++)
        rc = take_shard(backup, i);
    if (rc == 0)
        rc = sync_dir(backup, path);
    if (rc == 0) /* the name of the folder of data, before that of the manifest */
        rc = sync_dir(backup, dir);
    if (rc == 0)
        rc = sync_parent(backup);
    if (rc != 0 && backup->has_begun)
        remove_all(backup);
    if (rc != 0)
        return rc;
    /* After this has failed the manifest may be there or not: all of it stays. */
    backup->manifest.begins_log = true;
    rc = manifest_save(fs_of(backup), dir, &backup->manifest, &backup->request->diag);
    return rc == 0 ? remove_marker(backup) : rc;
}

static void run_backup(struct pool_job *job)
{
    struct backup *backup = CONTAINER_OF(job, struct backup, job);
    backup->buffer = mem_alloc(COPY_SIZE);
    backup->request->error = take_all(backup);
    mem_free(backup->buffer);
}

/* ---- The log loop's part ---- */

void backup_free(struct backup *backup)
{
    if (backup == NULL)
        return;
    manifest_fini(&backup->manifest);
    mem_free(backup);
}

static void on_request_back(struct loop_post *post)
{
    struct group_backup_request *request = CONTAINER_OF(post, struct group_backup_request, back);
    request->on_done(request);
}

static void tell(struct group_backup_request *request)
{
    request->back.run = on_request_back;
    loop_post(request->loop, &request->back);
}

static void conclude(struct backup *backup)
{
    struct group *group = backup->group;
    struct group_backup_request *request = backup->request;
    atomic_fetch_sub(&group->unlink_holds, 1);
    atomic_store(&group->backup_total_bytes, 0);
    ASSERT(group->sequencer.backup == backup);
    group->sequencer.backup = NULL;
    if (request->error == 0)
        group_log(group, '*', "backup at index %llu: %.700s",
                  (unsigned long long)backup->manifest.index, request->dir);
    else
        group_log(group, '#', "backup failed: %s", request->diag.text);
    group_publish(group, PUB_BACKUP_FAILED, request->error != 0);
    if (request->error == 0)
        group_publish(group, PUB_LAST_BACKUP_MS, clock_wall_ms(group->options.os.clock));
    request->index = backup->manifest.index;
    backup_free(backup);
    tell(request);
}

static void on_taken(struct pool_job *job)
{
    conclude(CONTAINER_OF(job, struct backup, job));
}

static void copy_manifest(struct backup *backup, const struct manifest *from)
{
    struct manifest *to = &backup->manifest;
    *to = *from;
    to->configuration = (struct buf){0};
    buf_append_slice(&to->configuration, buf_slice(&from->configuration));
    to->database_ids =
        mem_dup(from->database_ids, from->database_count * sizeof(*from->database_ids));
    to->shards = mem_dup(from->shards, from->shard_count * sizeof(*from->shards));
    for (uint32_t i = 0; i < from->shard_count; i++)
        to->shards[i].files = mem_dup(from->shards[i].files,
                                      from->shards[i].file_count * sizeof(*from->shards[i].files));
}

static void on_checkpointed(struct group_checkpoint_request *request)
{
    struct backup *backup = CONTAINER_OF(request, struct backup, checkpoint);
    struct group *group = backup->group;
    if (request->error != 0) {
        backup->request->error = diag_set(&backup->request->diag, request->error,
                                          "the checkpoint failed: %s", err_text(request->error));
        conclude(backup);
        return;
    }
    copy_manifest(backup, &group->manifest);
    uint64_t total = 1; /* not 0 while it is under way */
    for (uint32_t i = 0; i < backup->manifest.shard_count; i++) {
        for (size_t j = 0; j < backup->manifest.shards[i].file_count; j++)
            total += backup->manifest.shards[i].files[j].length;
    }
    atomic_store(&group->backup_done_bytes, 0);
    atomic_store(&group->backup_total_bytes, total);
    pool_submit(group->options.pool, POOL_MERGE, &backup->job, group->sequencer.loop, run_backup,
                on_taken);
}

/* A reload holds all writes and waits for a merge to end, which would wait behind the copying: both
 * are jobs of one lane. So neither begins beside the other. */
static const char *why_not_now(const struct group *group)
{
    const struct sequencer *sequencer = &group->sequencer;
    if (sequencer->backup != NULL)
        return "a backup is under way already";
    if (sequencer->reload != NULL)
        return "not while keys are being reloaded";
    if (sequencer->is_stopping || group_state(group) == GROUP_REPLAYING)
        return "not while the server starts or ends";
    return NULL;
}

static void on_wanted(struct loop_post *post)
{
    struct group_backup_request *request = CONTAINER_OF(post, struct group_backup_request, post);
    struct group *group = request->group;
    struct sequencer *sequencer = &group->sequencer;
    request->diag.text[0] = '\0';
    request->bytes = 0;
    request->error = backup_refuse_place(group, request->dir, &request->diag);
    const char *busy = why_not_now(group);
    if (request->error == 0 && busy != NULL)
        request->error = diag_set(&request->diag, ERR_BUSY, "%s", busy);
    if (request->error != 0) {
        group_log(group, '#', "backup refused: %s", request->diag.text);
        group_publish(group, PUB_BACKUP_FAILED, 1);
        tell(request);
        return;
    }
    struct backup *backup = mem_calloc(1, sizeof(*backup));
    backup->group = group;
    backup->request = request;
    sequencer->backup = backup;
    atomic_fetch_add(&group->unlink_holds, 1);
    backup->checkpoint.loop = sequencer->loop;
    backup->checkpoint.on_done = on_checkpointed;
    group_checkpoint(group, &backup->checkpoint);
}

void group_backup(struct group *group, struct group_backup_request *request)
{
    request->group = group;
    request->post.run = on_wanted;
    loop_post(group->sequencer.loop, &request->post);
}
