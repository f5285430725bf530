/* SPDX-License-Identifier: Apache-2.0 */
/* What a power loss leaves of the simulated disk after long random runs, held against models that
 * know nothing of the trace: whole copies of a file after every step, lists of what each name has
 * been, numbers of the writes of a queue. */
#include "support/simdisk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "support/cmocka.h"

#define SECTOR 512

static struct file *create(struct simdisk *disk, const char *path)
{
    struct file *file = NULL;
    assert_int_equal(fs_open(simdisk_fs(disk), path, FS_WRITE | FS_CREATE, &file), 0);
    return file;
}

static void sync_all(struct simdisk *disk, struct file *file)
{
    assert_int_equal(file_sync(file), 0);
    assert_int_equal(fs_sync_dir(simdisk_fs(disk), "/"), 0);
}

/* ---- Queued writes, by their numbers ---- */

#define BLOCKS 6

struct version {
    uint32_t block;
    uint64_t submitted;
    uint64_t done; /* step, or UINT64_MAX: failed or in flight */
};

struct queue {
    struct simdisk *disk;
    struct aio *aio;
    struct file *file;
    struct simchance chance;
    struct aio_write writes[BLOCKS]; /* one for each block */
    bool is_busy[BLOCKS];
    struct version versions[400]; /* version 0 is none */
    uint64_t version_count;
};

static uint64_t below(struct simchance *chance, uint64_t bound)
{
    return chance_u64(&chance->chance) % bound;
}

static void submit_version(struct queue *queue, uint32_t block)
{
    uint64_t version = queue->version_count++;
    uint64_t *words = (uint64_t *)(uintptr_t)queue->writes[block].data;
    for (size_t i = 0; i < 4096 / 8; i++)
        words[i] = version;
    if (below(&queue->chance, 12) == 0)
        simdisk_fail_nth(queue->disk, SIM_AIO, NULL, 1, below(&queue->chance, 2) == 0 ? 0 : -EIO);
    queue->writes[block].ctx = &queue->versions[version];
    aio_submit(queue->aio, &queue->writes[block]);
    aio_flush(queue->aio);
    queue->is_busy[block] = true;
    queue->versions[version] = (struct version){
        .block = block, .submitted = simdisk_steps(queue->disk), .done = UINT64_MAX};
}

static void release_one(struct queue *queue)
{
    if (!simdisk_release(queue->disk))
        return;
    struct aio_write *write = aio_reap(queue->aio);
    assert_non_null(write);
    struct version *version = write->ctx;
    if (write->result == 0)
        version->done = simdisk_steps(queue->disk);
    queue->is_busy[version->block] = false;
}

/* A sector holds what the last completed write of its block has put there, or a later one that
 * has failed or was not done. */
static void check_sector(const struct queue *queue, uint32_t block, uint64_t step,
                         const uint64_t *words)
{
    uint64_t last_done = 0;
    for (uint64_t v = 1; v < queue->version_count; v++)
        if (queue->versions[v].block == block && queue->versions[v].done <= step)
            last_done = v;
    uint64_t found = words[0];
    for (size_t i = 1; i < SECTOR / 8; i++)
        assert_int_equal(words[i], found);
    if (found == last_done)
        return;
    assert_in_range(found, last_done + 1, queue->version_count - 1);
    assert_int_equal(queue->versions[found].block, block);
    assert_true(queue->versions[found].submitted <= step);
    assert_true(queue->versions[found].done > step);
}

static void check_image(const struct queue *queue, uint64_t step, uint64_t seed)
{
    struct simdisk *image = simdisk_image(queue->disk, step, seed);
    struct file *file = NULL;
    assert_int_equal(fs_open(simdisk_fs(image), "f", FS_READ, &file), 0);
    static uint64_t words[BLOCKS * 4096 / 8];
    memset(words, 0, sizeof(words));
    assert_true(file_pread(file, words, sizeof(words), 0) >= 0);
    for (uint32_t sector = 0; sector < BLOCKS * 8; sector++)
        check_sector(queue, sector / 8, step, words + sector * (SECTOR / 8));
    file_unref(file);
    simdisk_free(image);
}

static void queued_writes_are_lost_only_before_they_complete(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t round = 0; round < 12; round++) {
        struct queue queue = {.disk = simdisk_new(seed + round), .version_count = 1};
        simchance_init(&queue.chance, seed + round);
        queue.aio = simdisk_aio(queue.disk);
        unsigned flags = FS_WRITE | FS_CREATE | FS_DIRECT;
        assert_int_equal(fs_open(simdisk_fs(queue.disk), "f", flags, &queue.file), 0);
        assert_int_equal(fs_sync_dir(simdisk_fs(queue.disk), ""), 0);
        simdisk_hold(queue.disk, true);
        for (uint32_t i = 0; i < BLOCKS; i++)
            queue.writes[i] = (struct aio_write){.file = queue.file,
                                                 .data = mem_try_alloc_aligned(4096, 4096),
                                                 .size = 4096,
                                                 .off = i * 4096};
        while (queue.version_count < ARRAY_COUNT(queue.versions)) {
            uint32_t block = (uint32_t)below(&queue.chance, BLOCKS);
            if (queue.is_busy[block] || below(&queue.chance, 2) == 0)
                release_one(&queue);
            else
                submit_version(&queue, block);
        }
        for (uint64_t i = 0; i < 150; i++)
            check_image(&queue, 2 + below(&queue.chance, simdisk_steps(queue.disk) - 1), i);
        for (int i = 0; i < BLOCKS; i++)
            release_one(&queue);
        for (int i = 0; i < BLOCKS; i++)
            mem_free((void *)(uintptr_t)queue.writes[i].data);
        aio_close(queue.aio);
        file_unref(queue.file);
        simdisk_free(queue.disk);
    }
}

/* ---- Random bytes, against whole copies ---- */

#define MODEL_END     6144
#define MODEL_SECTORS (MODEL_END / SECTOR)
#define MODEL_STEPS   260

struct copy {
    uint8_t bytes[MODEL_END]; /* zero beyond size */
    uint64_t size;
    uint64_t durable[MODEL_SECTORS]; /* the step of the oldest copy a sector may show */
    uint64_t oldest_size;            /* the step of the oldest size */
};

/* One file, created and durable as a name at `first`. */
struct model {
    struct simdisk *disk;
    struct file *file;
    struct simchance chance;
    uint64_t first;
    struct copy *copies; /* by step */
    bool is_dirty[MODEL_SECTORS];
    bool is_lost[MODEL_SECTORS]; /* dirty when a sync failed, and not written since */
    bool is_size_lost;
};

static void mark_dirty(struct model *model, uint64_t off, uint64_t end)
{
    for (uint64_t s = off / SECTOR; s * SECTOR < end; s++) {
        model->is_dirty[s] = true;
        model->is_lost[s] = false;
    }
}

static void model_write(struct model *model, struct copy *now)
{
    uint64_t off = below(&model->chance, MODEL_END - 1);
    size_t len = (size_t)(1 + below(&model->chance, MODEL_END - off));
    len = below(&model->chance, 3) == 0 ? len : len % 700 + 1;
    len = off + len > MODEL_END ? MODEL_END - off : len;
    uint8_t bytes[MODEL_END];
    memset(bytes, (int)(1 + below(&model->chance, 255)), len);
    assert_int_equal(file_pwrite(model->file, bytes, len, off), len);
    memcpy(now->bytes + off, bytes, len);
    now->size = off + len > now->size ? off + len : now->size;
    mark_dirty(model, off, off + len);
}

static void model_truncate(struct model *model, struct copy *now)
{
    uint64_t size = below(&model->chance, MODEL_END);
    assert_int_equal(file_truncate(model->file, size), 0);
    if (size < now->size) {
        memset(now->bytes + size, 0, MODEL_END - size);
        mark_dirty(model, size, MODEL_END);
        /* The sector of the cut itself may be all that is left of a failed sync's writes. */
    }
    now->size = size;
}

static void model_sync(struct model *model, struct copy *now, uint64_t step)
{
    bool is_bad = below(&model->chance, 5) == 0;
    if (is_bad)
        simdisk_fail_nth(model->disk, SIM_SYNC, NULL, 1, -EIO);
    assert_int_equal(file_sync(model->file), is_bad ? -EIO : 0);
    for (size_t s = 0; s < MODEL_SECTORS; s++) {
        if (is_bad)
            model->is_lost[s] = model->is_lost[s] || model->is_dirty[s];
        else if (!model->is_lost[s])
            now->durable[s] = step;
        model->is_dirty[s] = is_bad && model->is_dirty[s];
    }
    model->is_size_lost = model->is_size_lost || is_bad;
    if (!model->is_size_lost)
        now->oldest_size = step;
}

static void model_step(struct model *model)
{
    uint64_t step = simdisk_steps(model->disk) + 1;
    struct copy *now = &model->copies[step];
    *now = model->copies[step - 1];
    switch (below(&model->chance, 6)) {
    case 0:
        model_truncate(model, now);
        break;
    case 1:
        model_sync(model, now, step);
        break;
    default:
        model_write(model, now);
    }
    assert_int_equal(simdisk_steps(model->disk), step);
}

static bool is_copy(const struct copy *copy, size_t sector, const uint8_t *found, size_t len)
{
    return memcmp(copy->bytes + sector * SECTOR, found, len) == 0;
}

static void check_copy(const struct model *model, uint64_t step, uint64_t seed)
{
    struct simdisk *image = simdisk_image(model->disk, step, seed);
    struct file *file = NULL;
    assert_int_equal(fs_open(simdisk_fs(image), "f", FS_READ, &file), 0);
    uint8_t bytes[MODEL_END + 1];
    ssize_t got = file_pread(file, bytes, sizeof(bytes), 0);
    assert_in_range(got, 0, MODEL_END);
    const struct copy *now = &model->copies[step];
    uint64_t least = now->size;
    uint64_t most = now->size;
    for (uint64_t i = now->oldest_size; i < step; i++) {
        uint64_t size = model->copies[i].size;
        least = size < least ? size : least;
        most = size > most ? size : most;
    }
    assert_in_range(got, least, most);
    for (size_t s = 0; s * SECTOR < (size_t)got; s++) {
        size_t len = (size_t)got - s * SECTOR;
        len = len < SECTOR ? len : SECTOR;
        uint64_t at = now->durable[s];
        while (at <= step && !is_copy(&model->copies[at], s, bytes + s * SECTOR, len))
            at++;
        if (at > step)
            fail_msg("step %" PRIu64 ", image %" PRIu64 ": sector %zu was never so", step, seed, s);
    }
    file_unref(file);
    simdisk_free(image);
}

static void a_sector_never_holds_what_it_never_held(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    struct copy *copies = mem_calloc(MODEL_STEPS + 8, sizeof(*copies));
    for (uint64_t round = 0; round < 40; round++) {
        struct model model = {.disk = simdisk_new(seed + round), .copies = copies};
        simchance_init(&model.chance, seed + round);
        model.file = create(model.disk, "f");
        sync_all(model.disk, model.file);
        model.first = simdisk_steps(model.disk);
        memset(&copies[model.first], 0, sizeof(copies[0]));
        copies[model.first].oldest_size = model.first;
        for (size_t s = 0; s < MODEL_SECTORS; s++)
            copies[model.first].durable[s] = model.first;
        while (simdisk_steps(model.disk) < MODEL_STEPS)
            model_step(&model);
        for (uint64_t i = 0; i < 200; i++) {
            uint64_t span = MODEL_STEPS - model.first + 1;
            check_copy(&model, model.first + below(&model.chance, span), i);
        }
        file_unref(model.file);
        simdisk_free(model.disk);
    }
    mem_free(copies);
}

/* ---- Random names, against lists of what each has been ---- */

#define TREE_NAMES 9
#define TREE_STEPS 300

static const char *const tree_names[TREE_NAMES] = {"a",   "b",   "c",   "d/a", "d/b",
                                                   "d/c", "e/a", "e/b", "e/c"};

struct tree {
    struct simdisk *disk;
    struct simchance chance;
    uint64_t next_id;
    uint64_t ids[TREE_NAMES];                 /* 0: absent */
    uint64_t history[TREE_NAMES][TREE_STEPS]; /* by step */
    uint64_t synced[3][TREE_STEPS];           /* of /, d, e: the step of the last sync */
};

static void tree_create(struct tree *tree, size_t i)
{
    uint64_t id = tree->next_id++;
    uint64_t words[4] = {id, id, id, id};
    struct file *file = create(tree->disk, "spare");
    size_t done = 0;
    assert_int_equal(file_write_full(file, words, sizeof(words), 0, &done), 0);
    assert_int_equal(file_sync(file), 0);
    file_unref(file);
    assert_int_equal(fs_rename(simdisk_fs(tree->disk), "spare", tree_names[i]), 0);
    tree->ids[i] = id;
}

static void tree_change(struct tree *tree)
{
    static const char *const dirs[] = {"/", "d", "e"};
    struct fs *fs = simdisk_fs(tree->disk);
    size_t i = (size_t)below(&tree->chance, TREE_NAMES);
    size_t j = (size_t)below(&tree->chance, TREE_NAMES);
    uint64_t what = below(&tree->chance, 5);
    uint64_t dir = below(&tree->chance, 3);
    uint64_t before = simdisk_steps(tree->disk);
    if (what == 0) {
        tree_create(tree, i);
    } else if (what == 1 && tree->ids[i] != 0) {
        assert_int_equal(fs_unlink(fs, tree_names[i]), 0);
        tree->ids[i] = 0;
    } else if (what == 2 && tree->ids[i] != 0 && tree->ids[i] != tree->ids[j]) {
        assert_int_equal(fs_rename(fs, tree_names[i], tree_names[j]), 0);
        tree->ids[j] = tree->ids[i];
        tree->ids[i] = 0;
    } else if (what == 3 && tree->ids[i] != 0 && tree->ids[j] == 0) {
        assert_int_equal(fs_link(fs, tree_names[i], tree_names[j]), 0);
        tree->ids[j] = tree->ids[i];
    } else if (what == 4) {
        assert_int_equal(fs_sync_dir(fs, dirs[dir]), 0);
    }
    /* All changes of the names that are looked at come with the last of the steps. */
    uint64_t now = simdisk_steps(tree->disk);
    for (uint64_t step = before + 1; step <= now && step < TREE_STEPS; step++) {
        for (size_t n = 0; n < TREE_NAMES; n++)
            tree->history[n][step] = step == now ? tree->ids[n] : tree->history[n][step - 1];
        for (uint64_t d = 0; d < 3; d++)
            tree->synced[d][step] = what == 4 && d == dir ? step : tree->synced[d][step - 1];
    }
}

static uint64_t read_id(struct simdisk *disk, const char *path)
{
    struct file *file = NULL;
    int rc = fs_open(simdisk_fs(disk), path, FS_READ, &file);
    if (rc == -ENOENT)
        return 0;
    assert_int_equal(rc, 0);
    uint64_t words[4];
    assert_int_equal(file_read_full(file, words, sizeof(words), 0), 0);
    assert_true(words[0] != 0 && words[0] == words[3]);
    file_unref(file);
    return words[0];
}

static void check_tree(const struct tree *tree, uint64_t step, uint64_t seed)
{
    struct simdisk *image = simdisk_image(tree->disk, step, seed);
    struct simdisk *synced = simdisk_image_synced(tree->disk, step);
    struct simdisk *all = simdisk_image_all(tree->disk, step);
    for (size_t n = 0; n < TREE_NAMES; n++) {
        uint64_t oldest = tree->synced[n / 3][step];
        uint64_t found = read_id(image, tree_names[n]);
        uint64_t at = oldest;
        while (at <= step && tree->history[n][at] != found)
            at++;
        assert_true(at <= step);
        assert_int_equal(read_id(synced, tree_names[n]), tree->history[n][oldest]);
        assert_int_equal(read_id(all, tree_names[n]), tree->history[n][step]);
    }
    simdisk_free(image);
    simdisk_free(synced);
    simdisk_free(all);
}

static void a_name_is_only_what_it_has_been_since_its_sync(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    struct tree *tree = mem_alloc(sizeof(*tree));
    for (uint64_t round = 0; round < 15; round++) {
        memset(tree, 0, sizeof(*tree));
        tree->disk = simdisk_new(seed + round);
        tree->next_id = 1;
        simchance_init(&tree->chance, seed + round);
        assert_int_equal(fs_mkdir(simdisk_fs(tree->disk), "d"), 0);
        assert_int_equal(fs_mkdir(simdisk_fs(tree->disk), "e"), 0);
        assert_int_equal(fs_sync_dir(simdisk_fs(tree->disk), ""), 0);
        for (uint64_t d = 0; d < 3; d++)
            tree->synced[d][3] = 3;
        while (simdisk_steps(tree->disk) < TREE_STEPS)
            tree_change(tree);
        for (uint64_t i = 0; i < 100; i++)
            check_tree(tree, 3 + below(&tree->chance, TREE_STEPS - 3), i);
        simdisk_free(tree->disk);
    }
    mem_free(tree);
}

/* ---- Size ---- */

/* 20 MB of traffic over many files, thousands of images: in seconds, in any order of steps. */
static void many_images_of_much_traffic_are_cheap(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(sim_seed());
    struct simchance chance;
    simchance_init(&chance, 7);
    uint8_t *bytes = mem_alloc(20000);
    for (int i = 0; i < 20; i++) {
        char path[16];
        snprintf(path, sizeof(path), "f%d", i);
        struct file *file = create(disk, path);
        uint64_t off = 0;
        for (int j = 0; off < 1000000; j++) {
            size_t len = (size_t)(1 + below(&chance, 20000));
            memset(bytes, i * 7 + j, len);
            assert_int_equal(file_pwrite(file, bytes, len, off), len);
            off += len;
            if (j % 4 == 3)
                assert_int_equal(file_sync(file), 0);
        }
        sync_all(disk, file);
        file_unref(file);
    }
    mem_free(bytes);
    uint64_t steps = simdisk_steps(disk);
    for (uint64_t i = 0; i < 2000; i++) {
        struct simdisk *image = simdisk_image(disk, below(&chance, steps) + 1, i);
        struct file *file = create(image, "new");
        assert_int_equal(file_pwrite(file, "x", 1, 0), 1);
        file_unref(file);
        simdisk_free(image);
    }
    simdisk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queued_writes_are_lost_only_before_they_complete),
        cmocka_unit_test(a_sector_never_holds_what_it_never_held),
        cmocka_unit_test(a_name_is_only_what_it_has_been_since_its_sync),
        cmocka_unit_test(many_images_of_much_traffic_are_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
