/* SPDX-License-Identifier: Apache-2.0 */
/* A real directory: both write queues, preparation and reading on threads of their own, kill -9. */
#include "support/cmocka.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "os/thread.h"
#include "seglog/mend.h"
#include "seglog/scan_internal.h"
#include "seglog/seglog.h"
#include "support/tmpdir.h"

#define SEGMENT     (256U << 10)
#define IN_FLIGHT   4
#define ENTRIES     3
#define DEADLINE_MS 20000
#define KILL_AFTER  300

struct rig {
    struct tmpdir dir;
    struct tmpdir_path log_dir;
    struct aio *aio;
    struct seglog *log;
    struct seglog_found found;
    struct diag diag;
    uint64_t checkpoint;
};

/* False where this machine has no such queue. */
static bool rig_open(struct rig *rig, enum aio_kind kind)
{
    rig->log_dir = tmpdir_join(&rig->dir, "log");
    int rc = aio_open(kind, rig->dir.path, IN_FLIGHT + SEGLOG_OWN_IN_FLIGHT, &rig->aio, &rig->diag);
    if (rc != 0 && kind == AIO_URING)
        return false;
    assert_int_equal(rc, 0);
    struct seglog_options options = {
        .os = os_posix(),
        .aio = rig->aio,
        .dir = rig->log_dir.text,
        .group_id = 5,
        .segment_size = SEGMENT,
        .max_in_flight = IN_FLIGHT,
        .max_spare = 2,
        .checkpoint_index = rig->checkpoint,
        .checkpoint_term = rig->checkpoint > 0,
    };
    rc = seglog_open(&options, &rig->log, &rig->found, &rig->diag);
    if (rc != 0)
        fail_msg("open: %s", rig->diag.text);
    return true;
}

static void rig_close(struct rig *rig)
{
    seglog_close(rig->log);
    aio_close(rig->aio);
}

/* Waits until the disk has answered something. */
static void wait_for_disk(struct rig *rig)
{
    struct pollfd fd = {.fd = seglog_fd(rig->log), .events = POLLIN};
    if (poll(&fd, 1, DEADLINE_MS) != 1)
        fail_msg("the disk does not answer");
    assert_int_equal(seglog_poll(rig->log), 0);
}

static void drop_durable(struct rig *rig)
{
    for (struct frame *frame; (frame = seglog_next_durable(rig->log)) != NULL;)
        frame_unref(frame);
}

static void settle(struct rig *rig)
{
    seglog_flush(rig->log);
    while (seglog_in_flight(rig->log) > 0)
        wait_for_disk(rig);
    drop_durable(rig);
}

/* Entries whose bytes say their index. */
static void append(struct rig *rig)
{
    uint64_t index = seglog_last_index(rig->log) + 1;
    struct frame *frame = frame_new(4000);
    assert_non_null(frame);
    for (uint64_t i = index; i < index + ENTRIES; i++) {
        size_t size = 8 + (size_t)(i * 37 % 3000);
        assert_int_equal(frame_reserve(frame, ENTRY_HEADER_SIZE + size), 0);
        frame_put_entry_header(frame, frame->size, size, ENTRY_COMMAND);
        memset(frame->data + frame->size + ENTRY_HEADER_SIZE, (int)i, size);
        put_u64(frame->data + frame->size + ENTRY_HEADER_SIZE, i);
        frame->size += ENTRY_HEADER_SIZE + size;
    }
    frame->entry_count = ENTRIES;
    frame->first_index = index;
    frame->term = 1;
    seglog_append(rig->log, frame);
    frame_unref(frame);
    seglog_flush(rig->log);
}

/* Reads and verifies up to the end; the index behind the last. */
static uint64_t read_all(struct seglog_reader *reader, uint64_t next)
{
    struct frame *frame;
    struct diag diag;
    int rc;
    while ((rc = seglog_reader_next(reader, &frame, &diag)) == 0) {
        size_t at = FRAME_HEADER_SIZE;
        struct log_entry entry;
        for (uint32_t nth = 0; frame_next_entry(frame, &at, nth, &entry); nth++, next++) {
            ASSERT(entry.index == next && entry.payload.len == 8 + next * 37 % 3000);
            ASSERT(get_u64(entry.payload.data) == next);
        }
        frame_unref(frame);
    }
    ASSERT(rc == ERR_NOT_FOUND);
    seglog_reader_close(reader);
    return next;
}

static uint64_t read_back(struct rig *rig)
{
    struct seglog_reader *reader;
    assert_int_equal(seglog_reader_open(rig->log, rig->found.first_index, &reader), 0);
    return read_all(reader, rig->found.first_index);
}

/* ---- Threads ---- */

static void run_prep(void *ctx)
{
    seglog_prep_run(ctx);
}

struct reading {
    struct seglog_reader *reader;
    uint64_t from;
    uint64_t end;
};

static void run_reading(void *ctx)
{
    struct reading *reading = ctx;
    reading->end = read_all(reading->reader, reading->from);
}

/* Appends, while each preparation and each reading run on a thread of their own. */
static void work_on_threads(struct rig *rig, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        struct thread prep_thread = {0};
        struct thread read_thread = {0};
        struct seglog_prep *prep = seglog_prep_take(rig->log);
        if (prep != NULL)
            assert_int_equal(thread_start(&prep_thread, "prep", run_prep, prep), 0);
        uint64_t checkpoint = seglog_durable_index(rig->log);
        struct reading reading = {.from = checkpoint < 31 ? 1 : checkpoint - 30};
        /* Frames hold ENTRIES each, so that this is the first of one. */
        reading.from -= (reading.from - 1) % ENTRIES;
        assert_int_equal(seglog_reader_open(rig->log, reading.from, &reading.reader), 0);
        assert_int_equal(thread_start(&read_thread, "read", run_reading, &reading), 0);
        for (int i = 0; i < 20; i++) {
            while (!seglog_has_slot(rig->log))
                wait_for_disk(rig);
            if (seglog_admit(rig->log, 16000) == 0)
                append(rig);
            drop_durable(rig);
        }
        settle(rig);
        if (checkpoint > 60) {
            rig->checkpoint = checkpoint - 60;
            seglog_recycle(rig->log, rig->checkpoint);
        }
        thread_join(&read_thread);
        assert_int_equal(reading.end, checkpoint + 1);
        thread_join(&prep_thread);
        if (prep != NULL)
            assert_int_equal(seglog_prep_done(rig->log, prep), 0);
    }
}

static void check_threads(enum aio_kind kind)
{
    struct rig rig = {0};
    tmpdir_make(&rig.dir);
    if (rig_open(&rig, kind)) {
        work_on_threads(&rig, 25);
        uint64_t last = seglog_last_index(rig.log);
        assert_true(last > 900);
        assert_true(seglog_stats(rig.log).segments_recycled > 0);
        seglog_vouch(rig.log);
        settle(&rig);
        rig_close(&rig);
        assert_true(rig_open(&rig, kind));
        assert_int_equal(rig.found.last_index, last);
        assert_int_equal(rig.found.cut_frames, 0);
        assert_int_equal(read_back(&rig), last + 1);
        rig_close(&rig);
    }
    tmpdir_remove(&rig.dir);
}

static void preparing_and_reading_run_beside_appending(void **state)
{
    (void)state;
    check_threads(AIO_THREAD);
    check_threads(AIO_URING);
}

/* ---- kill -9 ---- */

/* Appends for ever and says through the pipe what is durable. */
static void write_until_killed(struct rig *rig, enum aio_kind kind, int pipe_fd)
{
    ASSERT(rig_open(rig, kind));
    for (;;) {
        struct seglog_prep *prep = seglog_prep_take(rig->log);
        if (prep != NULL) {
            seglog_prep_run(prep);
            ASSERT(seglog_prep_done(rig->log, prep) == 0);
        }
        while (!seglog_has_slot(rig->log) || seglog_admit(rig->log, 16000) != 0)
            wait_for_disk(rig);
        append(rig);
        drop_durable(rig);
        uint64_t durable = seglog_durable_index(rig->log);
        ASSERT(write(pipe_fd, &durable, sizeof(durable)) == sizeof(durable));
    }
}

static uint64_t read_acks(int pipe_fd, int count)
{
    uint64_t last = 0;
    for (int i = 0; i < count; i++)
        if (read(pipe_fd, &last, sizeof(last)) != sizeof(last))
            fail_msg("the writer is gone");
    return last;
}

static void check_kill(enum aio_kind kind)
{
    struct rig rig = {0};
    tmpdir_make(&rig.dir);
    for (int life = 0; life < 3; life++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            write_until_killed(&rig, kind, fds[1]);
        close(fds[1]);
        uint64_t durable = read_acks(fds[0], KILL_AFTER);
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        close(fds[0]);
        assert_true(rig_open(&rig, kind));
        assert_true(rig.found.last_index >= durable);
        assert_int_equal(read_back(&rig), rig.found.last_index + 1);
        rig_close(&rig);
    }
    tmpdir_remove(&rig.dir);
}

static bool has_uring(void)
{
    struct rig rig = {0};
    tmpdir_make(&rig.dir);
    bool has_it = rig_open(&rig, AIO_URING);
    if (has_it)
        rig_close(&rig);
    tmpdir_remove(&rig.dir);
    return has_it;
}

static void what_was_durable_is_there_after_a_kill(void **state)
{
    (void)state;
    check_kill(AIO_THREAD);
    if (has_uring())
        check_kill(AIO_URING);
}

/* ---- Mending ---- */

static int note_run(void *ctx, const struct seglog_seen *seen)
{
    struct seglog_run *run = ctx;
    if (seen->kind != FRAME_ENTRIES)
        return 0;
    if (run->off == 0)
        *run = (struct seglog_run){.off = seen->off, .sequence = seen->sequence};
    run->end = seen->off + seen->room;
    return 0;
}

static void a_file_larger_than_any_segment_can_be_mended(void **unused)
{
    (void)unused;
    struct rig rig = {0};
    tmpdir_make(&rig.dir);
    assert_true(rig_open(&rig, AIO_THREAD));
    for (struct seglog_prep *prep; (prep = seglog_prep_take(rig.log)) != NULL;) {
        seglog_prep_run(prep);
        assert_int_equal(seglog_prep_done(rig.log, prep), 0);
    }
    for (int i = 0; i < 3; i++) {
        append(&rig);
        settle(&rig);
    }
    rig_close(&rig);

    const struct os os = os_posix();
    char *path = seglog_path(rig.log_dir.text, 1);
    struct seglog_run run = {0};
    struct seglog_segment segment;
    assert_int_equal(seglog_walk(os.fs, path, note_run, &run, &segment, &rig.diag), 0);
    assert_int_equal(truncate(path, SEGMENT_SIZE_MAX + FRAME_ALIGN), 0);
    mem_free(path);
    const struct seglog_mend mend = {.fs = os.fs, .dir = rig.log_dir.text, .number = 1};
    const struct seglog_beginning beginning = {.group_id = 5, .epoch = 9};
    assert_int_equal(seglog_mend_front(&mend, &beginning, &run, &rig.diag), 0);

    assert_true(rig_open(&rig, AIO_THREAD));
    assert_int_equal(rig.found.last_index, 3 * ENTRIES);
    assert_int_equal(read_back(&rig), 3 * ENTRIES + 1);
    rig_close(&rig);
    tmpdir_remove(&rig.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(preparing_and_reading_run_beside_appending),
        cmocka_unit_test(what_was_durable_is_there_after_a_kill),
        cmocka_unit_test(a_file_larger_than_any_segment_can_be_mended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
