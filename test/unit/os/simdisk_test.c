/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated disk in use: faults, space, rot, notes, the write queue, time. What a power loss
 * leaves is in simdisk_image_test.c, that it behaves like a filesystem in simdisk_posix_test.c. */
#include "support/simdisk.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "os/thread.h"
#include "support/cmocka.h"

static struct file *open_file(struct simdisk *disk, const char *path, unsigned flags)
{
    struct file *file = NULL;
    assert_int_equal(fs_open(simdisk_fs(disk), path, flags, &file), 0);
    return file;
}

static struct file *create(struct simdisk *disk, const char *path)
{
    return open_file(disk, path, FS_WRITE | FS_CREATE);
}

static void put(struct file *file, const char *text, uint64_t off)
{
    assert_int_equal(file_pwrite(file, text, strlen(text), off), strlen(text));
}

static void assert_bytes(struct simdisk *disk, const char *path, const char *text)
{
    struct file *file = open_file(disk, path, FS_READ);
    char bytes[256];
    assert_int_equal(file_pread(file, bytes, sizeof(bytes), 0), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
    file_unref(file);
}

/* ---- Paths, locks, direct files ---- */

static void paths_are_taken_apart(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct fs *fs = simdisk_fs(disk);
    struct file *file = NULL;
    assert_int_equal(fs_mkdir(fs, "/data"), 0);
    file_unref(create(disk, "data/f"));
    file_unref(open_file(disk, "//data/./f", FS_READ));
    assert_int_equal(fs_open(fs, "/data/../data/f", FS_READ, &file), -EINVAL);
    assert_int_equal(fs_open(fs, "/", FS_READ, &file), -EISDIR);
    assert_int_equal(fs_mkdir(fs, "/"), -EEXIST);
    char text[300];
    memset(text, 'n', sizeof(text));
    text[256] = '\0';
    assert_int_equal(fs_mkdir(fs, text), -ENAMETOOLONG);
    text[255] = '\0';
    assert_int_equal(fs_mkdir(fs, text), 0);
    assert_int_equal(fs_sync_dir(fs, ""), 0);
    simdisk_free(disk);
}

static void a_lock_is_held_once_and_lost_with_the_power(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *lock = NULL;
    struct file *other = NULL;
    assert_int_equal(fs_lock(simdisk_fs(disk), "lock", &lock), 0);
    assert_int_equal(fs_lock(simdisk_fs(disk), "lock", &other), ERR_BUSY);
    struct simdisk *image = simdisk_image_all(disk, simdisk_steps(disk));
    assert_int_equal(fs_lock(simdisk_fs(image), "lock", &other), 0);
    file_unref(other);
    file_unref(lock);
    assert_int_equal(fs_lock(simdisk_fs(disk), "lock", &lock), 0);
    file_unref(lock);
    simdisk_free(image);
    simdisk_free(disk);
}

static void direct_files_check_alignment(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = open_file(disk, "f", FS_WRITE | FS_CREATE | FS_DIRECT);
    uint8_t *pages = mem_try_alloc_aligned(4096, 3 * 4096);
    memset(pages, 'p', 3 * 4096);
    assert_int_equal(file_pwrite(file, pages, 4096, 4096), 4096);
    assert_int_equal(file_pwrite(file, pages, 4096, 512), -EINVAL);
    assert_int_equal(file_pwrite(file, pages, 512, 0), -EINVAL);
    assert_int_equal(file_pwrite(file, pages + 512, 4096, 0), -EINVAL);
    assert_int_equal(file_pread(file, pages + 512, 4096, 0), -EINVAL);
    assert_int_equal(file_pread(file, pages, 100, 0), -EINVAL);
    assert_int_equal(file_pread(file, pages, 3 * 4096, 0), 8192);
    assert_int_equal(pages[0], 0);
    assert_int_equal(pages[4096], 'p');
    mem_free(pages);
    file_unref(file);
    simdisk_free(disk);
}

static void an_unlinked_file_lives_until_its_last_user(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, "old", 0);
    assert_int_equal(fs_unlink(simdisk_fs(disk), "f"), 0);
    struct file *next = create(disk, "f");
    put(next, "newer", 0);
    char text[8];
    assert_int_equal(file_pread(file, text, sizeof(text), 0), 3);
    assert_memory_equal(text, "old", 3);
    assert_bytes(disk, "f", "newer");
    file_unref(file);
    file_unref(next);
    simdisk_free(disk);
}

static void reads_without_waiting_may_be_refused_or_short(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(sim_seed());
    struct file *file = create(disk, "f");
    put(file, "0123456789", 0);
    unsigned refused = 0;
    unsigned cut = 0;
    unsigned whole = 0;
    for (int i = 0; i < 400; i++) {
        char text[10];
        ssize_t got = file_pread_nowait(file, text, 10, 0);
        refused += got == -EAGAIN;
        cut += got >= 0 && got < 10;
        whole += got == 10;
        assert_true(got <= 0 || memcmp(text, "0123456789", (size_t)got) == 0);
    }
    assert_int_equal(refused + cut + whole, 400);
    assert_true(refused > 20 && cut > 10 && whole > 100);
    file_unref(file);
    simdisk_free(disk);
}

/* ---- Faults ---- */

static void the_nth_operation_fails_once(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *a = create(disk, "a");
    struct file *b = create(disk, "b");
    assert_false(simdisk_fault_fired(disk));
    simdisk_fail_nth(disk, SIM_WRITE | SIM_TRUNCATE, "b", 3, -EIO);
    for (int i = 0; i < 5; i++)
        put(a, "x", 0);
    put(b, "1", 0);
    assert_int_equal(file_truncate(b, 4), 0);
    assert_int_equal(file_sync(b), 0);
    assert_false(simdisk_fault_fired(disk));
    assert_int_equal(file_pwrite(b, "22", 2, 0), -EIO);
    assert_true(simdisk_fault_fired(disk));
    uint64_t size = 0;
    assert_int_equal(file_size(b, &size), 0);
    assert_int_equal(size, 4);
    put(b, "3", 0);
    assert_int_equal(simdisk_count(disk, SIM_WRITE, "b"), 3);
    assert_int_equal(simdisk_count(disk, SIM_WRITE | SIM_TRUNCATE, "b"), 4);
    assert_int_equal(simdisk_count(disk, SIM_WRITE, NULL), 8);
    file_unref(a);
    file_unref(b);
    simdisk_free(disk);
}

static int ignore_name(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return 0;
}

/* One call of each kind; returns the sum of what they said. */
static int call_each(struct simdisk *disk, unsigned op)
{
    struct fs *fs = simdisk_fs(disk);
    struct fs_stat st;
    struct file *file = NULL;
    switch (op) {
    case SIM_OPEN:
        return fs_open(fs, "d/new", FS_WRITE | FS_CREATE, &file);
    case SIM_READ:
        return fs_stat(fs, "d/f", &st) + fs_list(fs, "d", ignore_name, NULL);
    case SIM_RENAME:
        return fs_rename(fs, "d/f", "d/g") + fs_link(fs, "d/g", "d/h");
    case SIM_SYNC_DIR:
        return fs_sync_dir(fs, "d");
    case SIM_UNLINK:
        return fs_unlink(fs, "d/f") + fs_rmdir(fs, "d/e");
    default:
        return fs_mkdir(fs, "d/e2");
    }
}

static void every_call_on_names_can_fail_and_then_changes_nothing(void **state)
{
    (void)state;
    static const unsigned ops[] = {SIM_OPEN,     SIM_READ,   SIM_RENAME,
                                   SIM_SYNC_DIR, SIM_UNLINK, SIM_MKDIR};
    for (size_t i = 0; i < ARRAY_COUNT(ops); i++) {
        struct simdisk *disk = simdisk_new(1);
        assert_int_equal(fs_mkdir(simdisk_fs(disk), "d"), 0);
        assert_int_equal(fs_mkdir(simdisk_fs(disk), "d/e"), 0);
        file_unref(create(disk, "d/f"));
        uint64_t before = simdisk_steps(disk);
        unsigned calls = ops[i] == SIM_READ || ops[i] == SIM_RENAME || ops[i] == SIM_UNLINK ? 2 : 1;
        for (unsigned n = 1; n <= calls; n++)
            simdisk_fail_nth(disk, ops[i], "d", n, -EACCES);
        uint64_t counted = simdisk_count(disk, ops[i], "d");
        assert_int_equal(call_each(disk, ops[i]), -EACCES * (int)calls);
        assert_true(simdisk_fault_fired(disk));
        assert_int_equal(simdisk_count(disk, ops[i], "d"), counted + calls);
        assert_int_equal(simdisk_steps(disk) - before, ops[i] == SIM_SYNC_DIR ? 1 : 0);
        struct fs_stat st;
        assert_int_equal(fs_stat(simdisk_fs(disk), "d/f", &st), 0);
        assert_int_equal(st.link_count, 1);
        assert_int_equal(fs_stat(simdisk_fs(disk), "d/new", &st), -ENOENT);
        assert_int_equal(fs_stat(simdisk_fs(disk), "d/e2", &st), -ENOENT);
        assert_int_equal(fs_stat(simdisk_fs(disk), "d/e", &st), 0);
        simdisk_free(disk);
    }
}

static void a_rename_is_met_by_either_name(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    file_unref(create(disk, "tmp"));
    simdisk_fail_nth(disk, SIM_RENAME, "manifest", 1, -ENOSPC);
    assert_int_equal(fs_rename(simdisk_fs(disk), "tmp", "manifest"), -ENOSPC);
    simdisk_fail_nth(disk, SIM_RENAME, "tmp", 1, -EIO);
    assert_int_equal(fs_rename(simdisk_fs(disk), "tmp", "manifest"), -EIO);
    assert_int_equal(fs_rename(simdisk_fs(disk), "tmp", "manifest"), 0);
    simdisk_free(disk);
}

static void a_short_write_is_short_and_can_be_continued(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(sim_seed());
    struct file *file = create(disk, "f");
    for (int i = 0; i < 50; i++) {
        simdisk_fail_nth(disk, SIM_WRITE, NULL, 1, 0);
        ssize_t got = file_pwrite(file, "0123456789", 10, 0);
        assert_in_range(got, 1, 9);
        uint64_t size = 0;
        assert_int_equal(file_size(file, &size), 0);
        assert_int_equal(size, got);
        simdisk_fail_nth(disk, SIM_WRITE, NULL, 1, 0);
        size_t done = 0;
        assert_int_equal(file_write_full(file, "0123456789", 10, 0, &done), 0);
        assert_int_equal(done, 10);
        assert_bytes(disk, "f", "0123456789");
        assert_int_equal(file_truncate(file, 0), 0);
    }
    file_unref(file);
    simdisk_free(disk);
}

/* ---- Space ---- */

static void a_full_disk_takes_what_fits(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct fs_space space;
    simdisk_set_capacity(disk, 3 * 4096);
    struct file *a = create(disk, "a");
    struct file *b = create(disk, "b");
    uint8_t *bytes = mem_calloc(4, 4096);
    memset(bytes, 'z', 4096);
    assert_int_equal(file_pwrite(a, bytes, 100, 4000), 100);
    assert_int_equal(fs_space(simdisk_fs(disk), "", &space), 0);
    assert_int_equal(space.total_bytes, 3 * 4096);
    assert_int_equal(space.free_bytes, 4096);
    assert_int_equal(file_pwrite(b, bytes, 4 * 4096, 1000), 3096);
    assert_int_equal(file_pwrite(b, bytes, 4096, 4096), -ENOSPC);
    assert_int_equal(file_pwrite(b, bytes, 4096, 0), 4096);
    assert_int_equal(file_truncate(b, 1 << 20), 0);

    assert_int_equal(file_truncate(a, 4096), 0);
    assert_int_equal(file_pwrite(b, bytes, 8192, 4096), 4096);
    /* A name alone or a user alone keeps the pages. */
    file_unref(a);
    assert_int_equal(file_pwrite(b, bytes, 1, 8192), -ENOSPC);
    a = open_file(disk, "a", FS_READ);
    assert_int_equal(fs_unlink(simdisk_fs(disk), "a"), 0);
    assert_int_equal(file_pwrite(b, bytes, 1, 8192), -ENOSPC);
    file_unref(a);
    assert_int_equal(file_pwrite(b, bytes, 1, 8192), 1);
    mem_free(bytes);
    file_unref(b);
    simdisk_free(disk);
}

/* ---- Rot ---- */

static void corruption_reaches_what_was_synced(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct file *file = create(disk, "f");
    put(file, "abcdef", 0);
    assert_int_equal(file_sync(file), 0);
    assert_int_equal(fs_sync_dir(simdisk_fs(disk), ""), 0);
    uint64_t before = simdisk_steps(disk);
    assert_true(simdisk_corrupt(disk, "f", 2, 0x20));
    assert_false(simdisk_corrupt(disk, "f", 6, 0x20));
    assert_false(simdisk_corrupt(disk, "g", 0, 0x20));
    assert_bytes(disk, "f", "abCdef");

    struct simdisk *then = simdisk_image_synced(disk, before);
    assert_bytes(then, "f", "abcdef");
    struct simdisk *now = simdisk_image_synced(disk, simdisk_steps(disk));
    assert_bytes(now, "f", "abCdef");
    put(file, "c", 2);
    assert_int_equal(file_sync(file), 0);
    struct simdisk *later = simdisk_image_synced(disk, simdisk_steps(disk));
    assert_bytes(later, "f", "abcdef");
    simdisk_free(then);
    simdisk_free(now);
    simdisk_free(later);
    file_unref(file);
    simdisk_free(disk);
}

/* ---- Steps and notes ---- */

static void steps_have_names_and_notes(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(1);
    struct fs *fs = simdisk_fs(disk);
    simdisk_note(disk, 3, 5);
    struct file *file = create(disk, "f");
    put(file, "x", 0);
    simdisk_note(disk, 3, 17);
    simdisk_note(disk, 3, 18);
    assert_int_equal(file_sync(file), 0);
    simdisk_note(disk, 4, 99);
    assert_int_equal(fs_rename(fs, "f", "g"), 0);
    assert_int_equal(fs_sync_dir(fs, "/"), 0);
    simdisk_fail_nth(disk, SIM_SYNC, NULL, 1, -EIO);
    assert_int_equal(file_sync(file), -EIO);

    static const char *const expected[] = {"start",  "create",   "write",      "sync",
                                           "rename", "sync dir", "sync failed"};
    assert_int_equal(simdisk_steps(disk), ARRAY_COUNT(expected) - 1);
    for (uint64_t i = 0; i < ARRAY_COUNT(expected); i++) {
        assert_string_equal(simdisk_step_name(disk, i), expected[i]);
        assert_int_equal(simdisk_step_is_durable(disk, i), i == 3 || i == 5);
    }
    assert_string_equal(simdisk_step_path(disk, 2), "f");
    assert_string_equal(simdisk_step_path(disk, 4), "f -> g");
    assert_int_equal(simdisk_noted(disk, 3, 0), 5);
    assert_int_equal(simdisk_noted(disk, 3, 1), 5);
    assert_int_equal(simdisk_noted(disk, 3, 2), 18);
    assert_int_equal(simdisk_noted(disk, 3, 6), 18);
    assert_int_equal(simdisk_noted(disk, 4, 2), 0);
    assert_int_equal(simdisk_noted(disk, 4, 3), 99);
    assert_int_equal(simdisk_noted(disk, 0, 6), 0);
    file_unref(file);
    simdisk_free(disk);
}

/* ---- The write queue ---- */

#define WRITES 8

struct queue {
    struct simdisk *disk;
    struct aio *aio;
    struct file *file;
    uint8_t *pages; /* page i is filled with 'a' + i */
    struct aio_write writes[WRITES];
};

static void queue_init(struct queue *queue, uint64_t seed)
{
    queue->disk = simdisk_new(seed);
    queue->aio = simdisk_aio(queue->disk);
    queue->pages = mem_try_alloc_aligned(4096, WRITES * 4096);
    unsigned flags = aio_open_flags(queue->aio);
    assert_int_equal(flags, FS_DIRECT);
    queue->file = open_file(queue->disk, "f", FS_WRITE | FS_CREATE | flags);
    for (int i = 0; i < WRITES; i++) {
        memset(queue->pages + i * 4096, 'a' + i, 4096);
        queue->writes[i] = (struct aio_write){.file = queue->file,
                                              .data = queue->pages + i * 4096,
                                              .size = 4096,
                                              .off = (uint64_t)i * 4096,
                                              .result = 1};
    }
}

static void queue_fini(struct queue *queue)
{
    aio_close(queue->aio);
    file_unref(queue->file);
    mem_free(queue->pages);
    simdisk_free(queue->disk);
}

static int reap_all(struct queue *queue, int order[WRITES])
{
    int count = 0;
    for (int tries = 0; tries < 1000 && count < WRITES; tries++) {
        struct aio_write *write = aio_reap(queue->aio);
        if (write != NULL)
            order[count++] = (int)(write - queue->writes);
    }
    return count;
}

static void writes_complete_in_any_order_and_are_there(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    bool is_first[WRITES] = {false};
    for (uint64_t round = 0; round < 200; round++) {
        struct queue queue;
        queue_init(&queue, seed + round);
        for (int i = 0; i < WRITES; i++)
            aio_submit(queue.aio, &queue.writes[i]);
        assert_null(aio_reap(queue.aio));
        aio_flush(queue.aio);
        int order[WRITES];
        assert_int_equal(reap_all(&queue, order), WRITES);
        assert_null(aio_reap(queue.aio));
        is_first[order[0]] = true;
        uint8_t *back = mem_try_alloc_aligned(4096, WRITES * 4096);
        assert_int_equal(file_pread(queue.file, back, WRITES * 4096, 0), WRITES * 4096);
        assert_memory_equal(back, queue.pages, WRITES * 4096);
        for (int i = 0; i < WRITES; i++)
            assert_int_equal(queue.writes[i].result, 0);
        mem_free(back);
        queue_fini(&queue);
    }
    for (int i = 0; i < WRITES; i++)
        assert_true(is_first[i]);
}

static void held_writes_wait_for_their_release(void **state)
{
    (void)state;
    struct queue queue;
    queue_init(&queue, sim_seed());
    simdisk_hold(queue.disk, true);
    assert_false(simdisk_release(queue.disk));
    aio_submit(queue.aio, &queue.writes[0]);
    aio_submit(queue.aio, &queue.writes[1]);
    assert_false(simdisk_release(queue.disk));
    aio_flush(queue.aio);
    for (int i = 0; i < 50; i++)
        assert_null(aio_reap(queue.aio));
    assert_true(simdisk_release(queue.disk));
    assert_string_equal(simdisk_step_name(queue.disk, simdisk_steps(queue.disk)), "aio done");
    struct aio_write *first = aio_reap(queue.aio);
    assert_non_null(first);
    assert_null(aio_reap(queue.aio));
    assert_true(simdisk_release(queue.disk));
    assert_false(simdisk_release(queue.disk));
    assert_ptr_not_equal(aio_reap(queue.aio), first);
    simdisk_hold(queue.disk, false);
    queue_fini(&queue);
}

static void failed_writes_say_why(void **state)
{
    (void)state;
    struct queue queue;
    queue_init(&queue, sim_seed());
    simdisk_fail_nth(queue.disk, SIM_AIO, "f", 2, -ENXIO);
    simdisk_fail_nth(queue.disk, SIM_AIO, "f", 3, 0);
    struct file *reader = open_file(queue.disk, "f", FS_READ | FS_DIRECT);
    queue.writes[3].file = reader;
    for (int i = 0; i < WRITES; i++)
        aio_submit(queue.aio, &queue.writes[i]);
    aio_flush(queue.aio);
    int order[WRITES];
    assert_int_equal(reap_all(&queue, order), WRITES);
    assert_int_equal(queue.writes[1].result, -ENXIO);
    assert_int_equal(queue.writes[2].result, -EIO);
    assert_int_equal(queue.writes[3].result, -EBADF);
    for (int i = 0; i < WRITES; i++)
        assert_true(i == 1 || i == 2 || i == 3 || queue.writes[i].result == 0);
    file_unref(reader);
    queue_fini(&queue);
}

static void a_failed_write_may_leave_pieces(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    unsigned left = 0;
    for (uint64_t round = 0; round < 50; round++) {
        struct queue queue;
        queue_init(&queue, seed + round);
        simdisk_fail_nth(queue.disk, SIM_AIO, NULL, 1, -EIO);
        aio_submit(queue.aio, &queue.writes[0]);
        aio_flush(queue.aio);
        while (aio_reap(queue.aio) == NULL)
            continue;
        uint64_t size = 0;
        assert_int_equal(file_size(queue.file, &size), 0);
        assert_int_equal(size % 512, 0);
        left += size > 0 && size < 4096;
        queue_fini(&queue);
    }
    assert_in_range(left, 5, 45);
}

static void a_full_disk_fails_writes_of_the_queue(void **state)
{
    (void)state;
    struct queue queue;
    queue_init(&queue, sim_seed());
    simdisk_set_capacity(queue.disk, 3 * 4096);
    for (int i = 0; i < WRITES; i++)
        aio_submit(queue.aio, &queue.writes[i]);
    aio_flush(queue.aio);
    int order[WRITES];
    assert_int_equal(reap_all(&queue, order), WRITES);
    int good = 0;
    for (int i = 0; i < WRITES; i++) {
        bool is_good = queue.writes[order[i]].result == 0;
        assert_true(is_good || queue.writes[order[i]].result == -ENOSPC);
        good += is_good;
    }
    assert_in_range(good, 1, 3);
    queue_fini(&queue);
}

/* ---- What its users must not do ---- */

static void overlap(struct queue *queue)
{
    aio_submit(queue->aio, &queue->writes[0]);
    queue->writes[1].off = 0;
    aio_submit(queue->aio, &queue->writes[1]);
}

static void change_bytes_in_flight(struct queue *queue)
{
    aio_submit(queue->aio, &queue->writes[0]);
    aio_flush(queue->aio);
    queue->pages[100]++;
    while (aio_reap(queue->aio) == NULL)
        continue;
}

static void close_file_in_flight(struct queue *queue)
{
    aio_submit(queue->aio, &queue->writes[0]);
    file_unref(queue->file);
}

static void close_queue_in_flight(struct queue *queue)
{
    aio_submit(queue->aio, &queue->writes[0]);
    aio_close(queue->aio);
}

static void free_with_open_files(struct queue *queue)
{
    aio_close(queue->aio);
    simdisk_free(queue->disk);
}

static bool dies_of(void (*misuse)(struct queue *queue))
{
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct queue queue;
        IGNORE(freopen("/dev/null", "w", stderr), "the message is expected");
        signal(SIGABRT, SIG_DFL);
        queue_init(&queue, 1);
        misuse(&queue);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void misuse_is_found_out(void **state)
{
    (void)state;
    assert_true(dies_of(overlap));
    assert_true(dies_of(change_bytes_in_flight));
    assert_true(dies_of(close_file_in_flight));
    assert_true(dies_of(close_queue_in_flight));
    assert_true(dies_of(free_with_open_files));
}

/* ---- Many threads ---- */

struct worker {
    struct simdisk *disk;
    struct thread thread;
    char path[8];
};

static void work(void *ctx)
{
    struct worker *worker = ctx;
    struct file *file = NULL;
    if (fs_open(simdisk_fs(worker->disk), worker->path, FS_WRITE | FS_CREATE, &file) < 0)
        abort();
    for (uint64_t i = 0; i < 300; i++) {
        uint8_t bytes[700];
        memset(bytes, (int)i, sizeof(bytes));
        size_t done = 0;
        if (file_write_full(file, bytes, sizeof(bytes), i * 700, &done) < 0)
            abort();
        if (i % 16 == 0 && (file_sync(file) < 0 || fs_sync_dir(simdisk_fs(worker->disk), "") < 0))
            abort();
        if (i % 64 == 63)
            simdisk_free(simdisk_image(worker->disk, simdisk_steps(worker->disk), i));
    }
    file_unref(file);
}

static void threads_may_share_it(void **state)
{
    (void)state;
    struct simdisk *disk = simdisk_new(sim_seed());
    struct worker workers[3];
    for (int i = 0; i < 3; i++) {
        workers[i] = (struct worker){.disk = disk, .path = {'f', (char)('0' + i)}};
        assert_int_equal(thread_start(&workers[i].thread, "work", work, &workers[i]), 0);
    }
    for (int i = 0; i < 3; i++)
        thread_join(&workers[i].thread);
    for (int i = 0; i < 3; i++) {
        struct fs_stat st;
        assert_int_equal(fs_stat(simdisk_fs(disk), workers[i].path, &st), 0);
        assert_int_equal(st.size, 300 * 700);
    }
    simdisk_free(disk);
}

/* ---- Time and chance ---- */

static void time_goes_on_as_told(void **state)
{
    (void)state;
    struct simclock clock;
    simclock_init(&clock, 1000);
    uint64_t mono_us = clock_mono_us(&clock.clock);
    uint64_t boot_ms = clock_boot_ms(&clock.clock);
    assert_int_equal(clock_wall_ms(&clock.clock), 1000);
    simclock_advance(&clock, 250);
    assert_int_equal(clock_wall_ms(&clock.clock), 1250);
    assert_int_equal(clock_mono_us(&clock.clock), mono_us + 250000);
    assert_int_equal(clock_boot_ms(&clock.clock), boot_ms + 250);
    clock.wall_ms = 10;
    assert_int_equal(clock_wall_ms(&clock.clock), 10);
}

static void chance_follows_its_seed(void **state)
{
    (void)state;
    struct simchance a;
    struct simchance b;
    simchance_init(&a, 42);
    simchance_init(&b, 42);
    uint64_t first = chance_u64(&a.chance);
    assert_true(first == chance_u64(&b.chance));
    assert_true(chance_u64(&a.chance) != first);
    simchance_init(&b, 43);
    assert_true(chance_u64(&b.chance) != first);
}

static void the_seed_can_be_given(void **state)
{
    (void)state;
    char before[32];
    const char *given = getenv("SEED");
    snprintf(before, sizeof(before), "%s", given == NULL ? "" : given);
    setenv("SEED", "1234567890123", 1);
    assert_true(sim_seed() == UINT64_C(1234567890123));
    setenv("SEED", before, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_taken_apart),
        cmocka_unit_test(a_lock_is_held_once_and_lost_with_the_power),
        cmocka_unit_test(direct_files_check_alignment),
        cmocka_unit_test(an_unlinked_file_lives_until_its_last_user),
        cmocka_unit_test(reads_without_waiting_may_be_refused_or_short),
        cmocka_unit_test(the_nth_operation_fails_once),
        cmocka_unit_test(every_call_on_names_can_fail_and_then_changes_nothing),
        cmocka_unit_test(a_rename_is_met_by_either_name),
        cmocka_unit_test(a_short_write_is_short_and_can_be_continued),
        cmocka_unit_test(a_full_disk_takes_what_fits),
        cmocka_unit_test(corruption_reaches_what_was_synced),
        cmocka_unit_test(steps_have_names_and_notes),
        cmocka_unit_test(writes_complete_in_any_order_and_are_there),
        cmocka_unit_test(held_writes_wait_for_their_release),
        cmocka_unit_test(failed_writes_say_why),
        cmocka_unit_test(a_failed_write_may_leave_pieces),
        cmocka_unit_test(a_full_disk_fails_writes_of_the_queue),
        cmocka_unit_test(misuse_is_found_out),
        cmocka_unit_test(threads_may_share_it),
        cmocka_unit_test(time_goes_on_as_told),
        cmocka_unit_test(chance_follows_its_seed),
        cmocka_unit_test(the_seed_can_be_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
