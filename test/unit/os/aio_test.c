/* SPDX-License-Identifier: Apache-2.0 */
/* Both machines behind aio_open(), on a real filesystem. The io_uring tests are skipped where it
 * cannot work. io_uring_submit() is wrapped by the linker, so that it can be made to refuse. */
#include "os/aio.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "os/aio_internal.h"
#include "os/clock.h"
#include "os/thread.h"
#include "support/cmocka.h"
#include "support/tmpdir.h"

#define PAGE    4096
#define DEPTH   16
#define WAIT_MS 20000

/* ---- A kernel that refuses submissions ---- */

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);

static struct {
    unsigned calls_until; /* good ones first */
    unsigned times;
    int error;
} refusal;

/* All that stands in the ring asks for stable storage. */
static void assert_dsync(const struct io_uring *ring)
{
    for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
        const struct io_uring_sqe *sqe = &ring->sq.sqes[i & *ring->sq.kring_mask];
        assert_int_equal(sqe->opcode, IORING_OP_WRITE);
        assert_int_equal(sqe->rw_flags, RWF_DSYNC);
    }
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
    assert_dsync(ring);
    if (refusal.calls_until > 0) {
        refusal.calls_until--;
        return __real_io_uring_submit(ring);
    }
    if (refusal.times == 0)
        return __real_io_uring_submit(ring);
    refusal.times--;
    return refusal.error;
}

/* ---- Fixture: a folder, a queue of one kind, pages ---- */

struct fixture {
    struct tmpdir dir;
    struct aio *aio;
    uint8_t *pages; /* page i is filled with 1 + i */
    struct aio_write writes[DEPTH];
};

static int set_up(void **state, enum aio_kind kind)
{
    struct fixture *f = mem_calloc(1, sizeof(*f));
    *state = f;
    tmpdir_make(&f->dir);
    f->pages = mem_try_alloc_aligned(PAGE, DEPTH * PAGE);
    for (int i = 0; i < DEPTH; i++)
        memset(f->pages + i * PAGE, 1 + i, PAGE);
    struct diag diag = {{0}};
    int rc = aio_open(kind, f->dir.path, DEPTH, &f->aio, &diag);
    if (rc < 0)
        print_message("%s\n", diag.text);
    return kind == AIO_THREAD ? rc : 0;
}

static int set_up_thread(void **state)
{
    return set_up(state, AIO_THREAD);
}

static int set_up_uring(void **state)
{
    return set_up(state, AIO_URING);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    aio_close(f->aio);
    tmpdir_remove(&f->dir);
    mem_free(f->pages);
    mem_free(f);
    return 0;
}

static struct fixture *fixture_of(void **state)
{
    struct fixture *f = *state;
    if (f->aio == NULL)
        skip();
    return f;
}

static struct file *open_for(struct fixture *f, const char *name, unsigned flags)
{
    struct file *file = NULL;
    struct tmpdir_path path = tmpdir_join(&f->dir, name);
    assert_int_equal(fs_open(fs_posix(), path.text, flags | aio_open_flags(f->aio), &file), 0);
    return file;
}

static struct aio_write *submit(struct fixture *f, unsigned i, struct file *file, uint64_t off)
{
    f->writes[i] = (struct aio_write){.file = file,
                                      .data = f->pages + i * PAGE,
                                      .size = PAGE,
                                      .off = off,
                                      .result = 77,
                                      .ctx = &f->pages[i]};
    aio_submit(f->aio, &f->writes[i]);
    return &f->writes[i];
}

static bool is_readable(struct aio *aio, int wait_ms)
{
    struct pollfd ready = {.fd = aio_fd(aio), .events = POLLIN};
    int rc = poll(&ready, 1, wait_ms);
    return rc == 1 && (ready.revents & POLLIN) != 0;
}

static struct aio_write *reap_next(struct aio *aio)
{
    for (;;) {
        struct aio_write *write = aio_reap(aio);
        if (write != NULL)
            return write;
        if (!is_readable(aio, WAIT_MS))
            fail_msg("nothing came back in time");
    }
}

static int write_one(struct fixture *f, struct file *file, uint64_t off)
{
    struct aio_write *write = submit(f, 0, file, off);
    aio_flush(f->aio);
    assert_ptr_equal(reap_next(f->aio), write);
    assert_null(aio_reap(f->aio));
    return write->result;
}

/* Through a file of its own, so that nothing but the bytes of the file is seen. */
static void assert_page(struct fixture *f, const char *name, uint64_t off, int filled_with)
{
    struct file *file = NULL;
    assert_int_equal(fs_open(fs_posix(), tmpdir_join(&f->dir, name).text, FS_READ, &file), 0);
    uint8_t page[PAGE];
    assert_int_equal(file_read_full(file, page, PAGE, off), 0);
    for (int i = 0; i < PAGE; i++)
        assert_int_equal(page[i], filled_with);
    file_unref(file);
}

/* ---- Both kinds ---- */

static void a_write_is_in_the_file_when_it_comes_back(void **state)
{
    struct fixture *f = fixture_of(state);
    struct file *file = open_for(f, "f", FS_WRITE | FS_CREATE);
    struct aio_write *write = submit(f, 3, file, 2 * PAGE);
    aio_flush(f->aio);
    assert_ptr_equal(reap_next(f->aio), write);
    assert_int_equal(write->result, 0);
    assert_ptr_equal(write->ctx, &f->pages[3]);
    assert_page(f, "f", 2 * PAGE, 4);
    assert_page(f, "f", 0, 0);
    file_unref(file);
}

static void the_descriptor_is_readable_exactly_while_writes_wait(void **state)
{
    struct fixture *f = fixture_of(state);
    struct file *file = open_for(f, "f", FS_WRITE | FS_CREATE);
    assert_false(is_readable(f->aio, 0));
    assert_null(aio_reap(f->aio));
    for (unsigned i = 0; i < 3; i++)
        submit(f, i, file, i * PAGE);
    aio_flush(f->aio);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(is_readable(f->aio, WAIT_MS));
        assert_non_null(aio_reap(f->aio));
    }
    assert_null(aio_reap(f->aio));
    assert_false(is_readable(f->aio, 0));
    /* And once more: a spent descriptor wakes again. */
    assert_int_equal(write_one(f, file, 0), 0);
    assert_false(is_readable(f->aio, 0));
    file_unref(file);
}

static void epoll_sees_every_completion(void **state)
{
    struct fixture *f = fixture_of(state);
    struct file *file = open_for(f, "f", FS_WRITE | FS_CREATE);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, aio_fd(f->aio), &event), 0);
    for (unsigned round = 0; round < 300; round++) {
        unsigned count = 1 + round % 4;
        for (unsigned i = 0; i < count; i++)
            submit(f, i, file, i * PAGE);
        aio_flush(f->aio);
        while (count > 0) {
            int rc = epoll_wait(ep, &event, 1, WAIT_MS);
            if (rc < 0 && errno == EINTR)
                continue;
            assert_int_equal(rc, 1);
            const struct aio_write *write;
            while ((write = aio_reap(f->aio)) != NULL) {
                assert_int_equal(write->result, 0);
                count--;
            }
        }
    }
    close(ep);
    file_unref(file);
}

/* Rounds of random writes with the queue kept full: each comes back once, with its own result, and
 * the files hold what the last write to each place put there. */
static void many_in_flight_come_back_once_each(void **state)
{
    struct fixture *f = fixture_of(state);
    enum { FILES = 3, PLACES = 20, WRITES = 600 };
    struct file *files[FILES];
    char names[FILES][4] = {"a", "b", "c"};
    for (int i = 0; i < FILES; i++)
        files[i] = open_for(f, names[i], FS_WRITE | FS_CREATE);
    int expected[FILES][PLACES] = {{0}};
    bool is_busy[FILES][PLACES] = {{false}};
    unsigned place_of[DEPTH];
    bool is_out[DEPTH] = {false};
    unsigned sent = 0;
    unsigned back = 0;
    uint64_t seed = 99;
    while (back < WRITES) {
        for (unsigned i = 0; i < DEPTH && sent < WRITES; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            unsigned place = (unsigned)(seed >> 33) % (FILES * PLACES);
            if (is_out[i] || is_busy[place / PLACES][place % PLACES])
                continue;
            place_of[i] = place;
            memset(f->pages + i * PAGE, 1 + (int)(sent % 255), PAGE);
            submit(f, i, files[place / PLACES], (place % PLACES) * PAGE);
            expected[place / PLACES][place % PLACES] = 1 + (int)(sent % 255);
            is_busy[place / PLACES][place % PLACES] = true;
            is_out[i] = true;
            sent++;
        }
        aio_flush(f->aio);
        struct aio_write *write = reap_next(f->aio);
        unsigned i = (unsigned)(write - f->writes);
        assert_true(i < DEPTH && is_out[i]);
        assert_int_equal(write->result, 0);
        is_out[i] = false;
        is_busy[place_of[i] / PLACES][place_of[i] % PLACES] = false;
        back++;
    }
    assert_int_equal(sent, WRITES);
    assert_null(aio_reap(f->aio));
    for (int i = 0; i < FILES; i++) {
        for (unsigned j = 0; j < PLACES; j++)
            if (expected[i][j] != 0)
                assert_page(f, names[i], j * PAGE, expected[i][j]);
        file_unref(files[i]);
    }
}

static void a_file_that_cannot_be_written_says_so(void **state)
{
    struct fixture *f = fixture_of(state);
    file_unref(open_for(f, "f", FS_WRITE | FS_CREATE));
    struct file *reader = open_for(f, "f", FS_READ);
    struct file *writer = open_for(f, "f", FS_WRITE);
    struct aio_write *bad = submit(f, 0, reader, 0);
    struct aio_write *good = submit(f, 1, writer, 0);
    aio_flush(f->aio);
    reap_next(f->aio);
    reap_next(f->aio);
    assert_int_equal(bad->result, -EBADF);
    assert_int_equal(good->result, 0);
    assert_page(f, "f", 0, 2);
    file_unref(reader);
    file_unref(writer);
}

static void a_closed_descriptor_says_so(void **state)
{
    struct fixture *f = fixture_of(state);
    struct file *file = open_for(f, "f", FS_WRITE | FS_CREATE);
    int fd = file_fd(file);
    int spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    assert_int_equal(write_one(f, file, 0), -EBADF);
    assert_int_equal(dup2(spare, fd), fd);
    close(spare);
    file_unref(file);
}

static void a_full_device_says_so(void **state)
{
    struct fixture *f = fixture_of(state);
    struct file *file = NULL;
    if (fs_open(fs_posix(), "/dev/full", FS_WRITE, &file) < 0)
        skip();
    assert_int_equal(write_one(f, file, 0), -ENOSPC);
    file_unref(file);
    file = open_for(f, "f", FS_WRITE | FS_CREATE);
    assert_int_equal(write_one(f, file, 0), 0);
    file_unref(file);
}

static void set_file_limit(rlim_t bytes, struct rlimit *out_before)
{
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, out_before), 0);
    struct rlimit small = {.rlim_cur = bytes, .rlim_max = out_before->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
}

static void a_write_that_does_not_fit_fails(void **state)
{
    struct fixture *f = fixture_of(state);
    struct file *file = open_for(f, "f", FS_WRITE | FS_CREATE);
    struct rlimit before;
    set_file_limit(2 * PAGE, &before);
    int inside = write_one(f, file, PAGE);
    int outside = write_one(f, file, 2 * PAGE);
    f->writes[0] =
        (struct aio_write){.file = file, .data = f->pages, .size = 3 * PAGE, .off = PAGE};
    aio_submit(f->aio, &f->writes[0]);
    aio_flush(f->aio);
    reap_next(f->aio);
    int across = f->writes[0].result;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(inside, 0);
    assert_int_equal(outside, -EFBIG);
    /* One call stops in the middle and says how far it came; going on meets the limit. */
    bool is_thread = strcmp(aio_name(f->aio), "thread") == 0;
    assert_int_equal(across, is_thread ? -EFBIG : -EIO);
    file_unref(file);
}

static void an_empty_flush_and_a_closed_nothing_are_harmless(void **state)
{
    struct fixture *f = fixture_of(state);
    aio_flush(f->aio);
    aio_flush(f->aio);
    assert_null(aio_reap(f->aio));
    aio_close(NULL);
}

/* With io_uring, writes outlive the process, and the lock must outlive them: the ring keeps it. */
static void a_held_lock_is_free_when_the_queue_is_gone(void **state)
{
    struct fixture *f = fixture_of(state);
    struct tmpdir_path path = tmpdir_join(&f->dir, "lock");
    struct file *lock = NULL;
    assert_int_equal(fs_lock(fs_posix(), path.text, &lock), 0);
    assert_int_equal(aio_hold(f->aio, lock), 0);
    file_unref(lock);
    if (strcmp(aio_name(f->aio), "io_uring") == 0)
        assert_int_equal(fs_lock(fs_posix(), path.text, &lock), ERR_BUSY);
    aio_close(f->aio);
    f->aio = NULL;
    assert_int_equal(fs_lock(fs_posix(), path.text, &lock), 0);
    file_unref(lock);
}

/* ---- io_uring ---- */

struct mover {
    struct fixture *f;
    struct file *file;
    int result;
};

static void write_elsewhere(void *ctx)
{
    struct mover *mover = ctx;
    mover->result = write_one(mover->f, mover->file, 0);
}

static void the_queue_may_be_opened_by_one_thread_and_used_by_another(void **state)
{
    struct fixture *f = fixture_of(state);
    struct mover mover = {.f = f, .file = open_for(f, "f", FS_WRITE | FS_CREATE), .result = 1};
    struct thread thread = {0};
    assert_int_equal(thread_start(&thread, "mover", write_elsewhere, &mover), 0);
    thread_join(&thread);
    assert_int_equal(mover.result, 0);
    assert_page(f, "f", 0, 1);
    file_unref(mover.file);
}

static void the_probe_leaves_nothing_behind(void **state)
{
    struct fixture *f = fixture_of(state);
    assert_int_equal(fs_rmdir(fs_posix(), f->dir.path), 0);
    assert_int_equal(fs_mkdir(fs_posix(), f->dir.path), 0);
}

static void what_is_measured_leaves_nothing_behind(void **state)
{
    struct fixture *f = fixture_of(state);
    uint64_t us = UINT64_MAX;
    assert_int_equal(aio_measure(f->aio, f->dir.path, &us), 0);
    assert_true(us < UINT64_MAX);
    assert_int_equal(fs_rmdir(fs_posix(), f->dir.path), 0);
    assert_int_equal(aio_measure(f->aio, f->dir.path, &us), -ENOENT);
    assert_int_equal(fs_mkdir(fs_posix(), f->dir.path), 0);
}

/* Refused while others are with the kernel: their completion brings the rest along. Refused with
 * none: the flush itself goes on until they are taken. */
static void a_refused_submission_is_made_again(void **state)
{
    struct fixture *f = fixture_of(state);
    if (strcmp(aio_name(f->aio), "io_uring") != 0)
        skip();
    struct file *file = open_for(f, "f", FS_WRITE | FS_CREATE);
    static const int errors[] = {-EAGAIN, -EBUSY, -EINTR, -ENOMEM, 0};
    for (size_t e = 0; e < ARRAY_COUNT(errors); e++) {
        for (unsigned times = 1; times <= 4; times++) {
            refusal.error = errors[e];
            submit(f, 0, file, 0);
            refusal.calls_until = times % 2; /* the first write is with the kernel, or it is not */
            refusal.times = times;
            if (refusal.calls_until == 1)
                aio_flush(f->aio);
            for (unsigned i = 1; i < 5; i++)
                submit(f, i, file, i * PAGE);
            aio_flush(f->aio);
            bool is_stuck = errors[e] != -EINTR;
            if (times % 2 == 1 && is_stuck)
                assert_int_equal(refusal.times, times - 1); /* no second try without need */
            else
                assert_int_equal(refusal.times, 0);
            bool is_back[5] = {false};
            for (unsigned i = 0; i < 5; i++) {
                struct aio_write *write = reap_next(f->aio);
                assert_int_equal(write->result, 0);
                assert_false(is_back[write - f->writes]);
                is_back[write - f->writes] = true;
            }
            assert_null(aio_reap(f->aio));
            assert_int_equal(refusal.times, 0);
        }
    }
    file_unref(file);
}

static void where_io_uring_cannot_work_the_thread_does(void **state)
{
    (void)state;
    struct aio *aio = NULL;
    struct diag diag = {{0}};
    assert_true(aio_open(AIO_URING, "/nowhere/at/all", DEPTH, &aio, &diag) < 0);
    assert_null(aio);
    assert_non_null(strstr(diag.text, "io_uring"));
    memset(&diag, 0, sizeof(diag));
    assert_int_equal(aio_open(AIO_AUTO, "/nowhere/at/all", DEPTH, &aio, &diag), 0);
    assert_string_equal(aio_name(aio), "thread");
    assert_non_null(strstr(diag.text, "io_uring"));
    aio_close(aio);
}

static void auto_takes_io_uring_where_it_works(void **state)
{
    struct fixture *f = fixture_of(state);
    struct aio *aio = NULL;
    assert_int_equal(aio_open(AIO_AUTO, f->dir.path, DEPTH, &aio, NULL), 0);
    assert_string_equal(aio_name(aio), "io_uring");
    assert_int_equal(aio_open_flags(aio), FS_DIRECT);
    aio_close(aio);
}

/* ---- The thread, over a file that does as it is told ---- */

struct odd_file {
    struct file file;
    struct lock lock;
    struct signal changed;
    unsigned writes;
    unsigned syncs;
    bool is_syncing;
    bool is_held; /* syncs wait */
    int sync_error;
    int write_error; /* of the page at offset 0 */
};

static ssize_t odd_pwrite(struct file *file, const void *from, size_t size, uint64_t off)
{
    (void)from;
    struct odd_file *odd = CONTAINER_OF(file, struct odd_file, file);
    lock_take(&odd->lock);
    odd->writes++;
    int error = off == 0 ? odd->write_error : 0;
    lock_drop(&odd->lock);
    return error < 0 ? error : (ssize_t)(size > 1000 ? 1000 : size);
}

static int odd_sync(struct file *file)
{
    struct odd_file *odd = CONTAINER_OF(file, struct odd_file, file);
    lock_take(&odd->lock);
    odd->syncs++;
    odd->is_syncing = true;
    signal_all(&odd->changed);
    while (odd->is_held)
        signal_wait(&odd->changed, &odd->lock);
    odd->is_syncing = false;
    int error = odd->sync_error;
    lock_drop(&odd->lock);
    return error;
}

static const struct file_ops odd_ops = {.pwrite = odd_pwrite, .sync = odd_sync};

static void odd_init(struct odd_file *odd)
{
    memset(odd, 0, sizeof(*odd));
    odd->file.ops = &odd_ops;
    lock_init(&odd->lock);
    signal_init(&odd->changed);
}

static void odd_fini(struct odd_file *odd)
{
    signal_fini(&odd->changed);
    lock_fini(&odd->lock);
}

static void odd_hold(struct odd_file *odd, bool is_held)
{
    lock_take(&odd->lock);
    odd->is_held = is_held;
    signal_all(&odd->changed);
    lock_drop(&odd->lock);
}

static void odd_await_sync(struct odd_file *odd)
{
    lock_take(&odd->lock);
    while (!odd->is_syncing)
        signal_wait(&odd->changed, &odd->lock);
    lock_drop(&odd->lock);
}

static void one_sync_covers_all_that_wait_and_is_waited_for(void **state)
{
    struct fixture *f = fixture_of(state);
    struct odd_file odd;
    odd_init(&odd);
    odd_hold(&odd, true);
    submit(f, 0, &odd.file, 0);
    aio_flush(f->aio);
    odd_await_sync(&odd);
    for (unsigned i = 1; i < 6; i++)
        submit(f, i, &odd.file, i * PAGE);
    aio_flush(f->aio);
    assert_null(aio_reap(f->aio));
    assert_false(is_readable(f->aio, 0));
    odd_hold(&odd, false);
    for (unsigned i = 0; i < 6; i++) {
        assert_ptr_equal(reap_next(f->aio), &f->writes[i]);
        assert_int_equal(f->writes[i].result, 0);
    }
    assert_int_equal(odd.syncs, 2);
    assert_int_equal(odd.writes, 6 * 5); /* each in pieces of 1000 bytes */
    odd_fini(&odd);
}

static void a_failed_sync_fails_what_it_covered_and_all_that_follows(void **state)
{
    struct fixture *f = fixture_of(state);
    struct odd_file odd;
    struct odd_file other;
    odd_init(&odd);
    odd_init(&other);
    odd.sync_error = -EIO;
    odd.write_error = -ENOSPC;
    for (unsigned i = 0; i < 3; i++)
        submit(f, i, &odd.file, i * PAGE);
    aio_flush(f->aio);
    for (unsigned i = 0; i < 3; i++)
        reap_next(f->aio);
    assert_int_equal(f->writes[0].result, -ENOSPC);
    assert_int_equal(f->writes[1].result, -EIO);
    assert_int_equal(f->writes[2].result, -EIO);
    assert_int_equal(odd.syncs, 1);

    odd.sync_error = 0;
    odd.write_error = 0;
    unsigned writes = odd.writes;
    assert_int_equal(write_one(f, &odd.file, 0), -EIO);
    assert_int_equal(write_one(f, &other.file, 0), -EIO);
    assert_int_equal(odd.writes, writes);
    assert_int_equal(odd.syncs, 1);
    assert_int_equal(other.writes + other.syncs, 0);
    odd_fini(&odd);
    odd_fini(&other);
}

static void a_failed_write_fails_alone(void **state)
{
    struct fixture *f = fixture_of(state);
    struct odd_file odd;
    odd_init(&odd);
    odd.write_error = -ENOSPC;
    assert_int_equal(write_one(f, &odd.file, 0), -ENOSPC);
    assert_int_equal(odd.syncs, 0);
    assert_int_equal(write_one(f, &odd.file, PAGE), 0);
    assert_int_equal(odd.syncs, 1);
    odd_fini(&odd);
}

/* Each file's own sync, and in the order of submission. */
static void neighbours_of_one_file_share_a_sync(void **state)
{
    struct fixture *f = fixture_of(state);
    struct odd_file odd;
    struct odd_file other;
    odd_init(&odd);
    odd_init(&other);
    odd_hold(&odd, true);
    submit(f, 0, &odd.file, 0);
    aio_flush(f->aio);
    odd_await_sync(&odd);
    struct file *files[] = {&odd.file, &odd.file, &other.file, &odd.file, &other.file};
    other.sync_error = -EROFS;
    for (unsigned i = 0; i < 5; i++)
        submit(f, 1 + i, files[i], i * PAGE);
    aio_flush(f->aio);
    odd_hold(&odd, false);
    for (unsigned i = 0; i < 6; i++)
        assert_ptr_equal(reap_next(f->aio), &f->writes[i]);
    assert_int_equal(odd.syncs, 2);
    assert_int_equal(other.syncs, 1);
    assert_int_equal(f->writes[2].result, 0);
    for (unsigned i = 3; i < 6; i++)
        assert_int_equal(f->writes[i].result, -EROFS);
    odd_fini(&odd);
    odd_fini(&other);
}

#define WITH_THREAD(test) cmocka_unit_test_setup_teardown(test, set_up_thread, tear_down)
#define WITH_URING(test)  cmocka_unit_test_setup_teardown(test, set_up_uring, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_THREAD(a_write_is_in_the_file_when_it_comes_back),
        WITH_URING(a_write_is_in_the_file_when_it_comes_back),
        WITH_THREAD(the_descriptor_is_readable_exactly_while_writes_wait),
        WITH_URING(the_descriptor_is_readable_exactly_while_writes_wait),
        WITH_THREAD(epoll_sees_every_completion),
        WITH_URING(epoll_sees_every_completion),
        WITH_THREAD(many_in_flight_come_back_once_each),
        WITH_URING(many_in_flight_come_back_once_each),
        WITH_THREAD(a_file_that_cannot_be_written_says_so),
        WITH_URING(a_file_that_cannot_be_written_says_so),
        WITH_THREAD(a_closed_descriptor_says_so),
        WITH_URING(a_closed_descriptor_says_so),
        WITH_THREAD(a_full_device_says_so),
        WITH_URING(a_full_device_says_so),
        WITH_THREAD(a_write_that_does_not_fit_fails),
        WITH_URING(a_write_that_does_not_fit_fails),
        WITH_THREAD(an_empty_flush_and_a_closed_nothing_are_harmless),
        WITH_URING(an_empty_flush_and_a_closed_nothing_are_harmless),
        WITH_THREAD(a_held_lock_is_free_when_the_queue_is_gone),
        WITH_URING(a_held_lock_is_free_when_the_queue_is_gone),
        WITH_THREAD(the_queue_may_be_opened_by_one_thread_and_used_by_another),
        WITH_URING(the_queue_may_be_opened_by_one_thread_and_used_by_another),
        WITH_URING(the_probe_leaves_nothing_behind),
        WITH_THREAD(what_is_measured_leaves_nothing_behind),
        WITH_URING(what_is_measured_leaves_nothing_behind),
        WITH_URING(a_refused_submission_is_made_again),
        WITH_URING(auto_takes_io_uring_where_it_works),
        cmocka_unit_test(where_io_uring_cannot_work_the_thread_does),
        WITH_THREAD(one_sync_covers_all_that_wait_and_is_waited_for),
        WITH_THREAD(a_failed_sync_fails_what_it_covered_and_all_that_follows),
        WITH_THREAD(a_failed_write_fails_alone),
        WITH_THREAD(neighbours_of_one_file_share_a_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
