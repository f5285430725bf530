/* SPDX-License-Identifier: Apache-2.0 */
#include "os/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/num.h"
#include "support/cmocka.h"
#include "support/tmpdir.h"

static struct tmpdir_path in(void **state, const char *name)
{
    return tmpdir_join(*state, name);
}

static int make_dir(void **state)
{
    struct tmpdir *dir = mem_alloc(sizeof(*dir));
    tmpdir_make(dir);
    *state = dir;
    return 0;
}

static int remove_dir(void **state)
{
    tmpdir_remove(*state);
    mem_free(*state);
    return 0;
}

static struct file *open_in(void **state, const char *name, unsigned flags)
{
    struct file *file = NULL;
    assert_int_equal(fs_open(fs_posix(), in(state, name).text, flags, &file), 0);
    return file;
}

static void put(struct file *file, const char *text, uint64_t off)
{
    size_t done = 0;
    assert_int_equal(file_write_full(file, text, strlen(text), off, &done), 0);
    assert_int_equal(done, strlen(text));
}

/* ---- Names ---- */

static void open_obeys_its_flags(void **state)
{
    struct tmpdir_path path = in(state, "f");
    struct file *file = NULL;
    assert_int_equal(fs_open(fs_posix(), path.text, FS_WRITE, &file), -ENOENT);
    assert_null(file);
    file_unref(open_in(state, "f", FS_WRITE | FS_CREATE));
    unsigned excl = FS_WRITE | FS_CREATE | FS_EXCL;
    assert_int_equal(fs_open(fs_posix(), path.text, excl, &file), -EEXIST);

    struct stat st;
    assert_int_equal(stat(path.text, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    file = open_in(state, "f", FS_READ);
    assert_int_equal(file_pwrite(file, "x", 1, 0), -EBADF);
    assert_true((fcntl(file_fd(file), F_GETFD) & FD_CLOEXEC) != 0);
    file_unref(file);
}

static void a_folder_is_not_a_file(void **state)
{
    struct file *file = NULL;
    assert_int_equal(fs_mkdir(fs_posix(), in(state, "d").text), 0);
    assert_int_equal(fs_open(fs_posix(), in(state, "d").text, FS_READ, &file), -EISDIR);
    assert_int_equal(fs_open(fs_posix(), in(state, "d").text, FS_WRITE, &file), -EISDIR);
}

static void folders_are_made_and_removed(void **state)
{
    struct fs *fs = fs_posix();
    struct tmpdir_path path = in(state, "d");
    assert_int_equal(fs_mkdir(fs, path.text), 0);
    assert_int_equal(fs_mkdir(fs, path.text), -EEXIST);
    struct fs_stat st;
    assert_int_equal(fs_stat(fs, path.text, &st), 0);
    assert_true(st.is_dir);
    struct stat sys;
    assert_int_equal(stat(path.text, &sys), 0);
    assert_int_equal(sys.st_mode & 0777, 0700);

    file_unref(open_in(state, "d/f", FS_WRITE | FS_CREATE));
    assert_int_equal(fs_rmdir(fs, path.text), -ENOTEMPTY);
    assert_int_equal(fs_unlink(fs, in(state, "d/f").text), 0);
    assert_int_equal(fs_rmdir(fs, path.text), 0);
    assert_int_equal(fs_stat(fs, path.text, &st), -ENOENT);
}

static void names_move_link_and_go(void **state)
{
    struct fs *fs = fs_posix();
    struct file *file = open_in(state, "a", FS_WRITE | FS_CREATE);
    put(file, "first", 0);
    struct file *other = open_in(state, "b", FS_WRITE | FS_CREATE);
    assert_int_equal(fs_link(fs, in(state, "a").text, in(state, "b").text), -EEXIST);
    assert_int_equal(fs_link(fs, in(state, "a").text, in(state, "c").text), 0);
    struct fs_stat st;
    assert_int_equal(fs_stat(fs, in(state, "a").text, &st), 0);
    assert_int_equal(st.link_count, 2);
    assert_int_equal(st.size, 5);
    assert_false(st.is_dir);

    assert_int_equal(fs_rename(fs, in(state, "a").text, in(state, "b").text), 0);
    assert_int_equal(fs_stat(fs, in(state, "a").text, &st), -ENOENT);
    assert_int_equal(fs_stat(fs, in(state, "b").text, &st), 0);
    assert_int_equal(st.size, 5);
    assert_int_equal(fs_unlink(fs, in(state, "c").text), 0);
    assert_int_equal(fs_unlink(fs, in(state, "c").text), -ENOENT);
    assert_int_equal(fs_rename(fs, in(state, "c").text, in(state, "x").text), -ENOENT);
    assert_int_equal(fs_sync_dir(fs, ((struct tmpdir *)*state)->path), 0);
    file_unref(file);
    file_unref(other);
}

static void sync_dir_takes_only_folders(void **state)
{
    file_unref(open_in(state, "f", FS_WRITE | FS_CREATE));
    assert_int_equal(fs_sync_dir(fs_posix(), in(state, "f").text), -ENOTDIR);
    assert_int_equal(fs_sync_dir(fs_posix(), in(state, "none").text), -ENOENT);
    assert_int_equal(fs_write_back(fs_posix(), in(state, "f").text), -ENOTDIR);
    assert_int_equal(fs_write_back(fs_posix(), in(state, "none").text), -ENOENT);
    assert_int_equal(fs_write_back(fs_posix(), ((struct tmpdir *)*state)->path), 0);
}

struct walk {
    void **state;
    unsigned count;
    unsigned sum;
    unsigned stop_at;
};

static int remove_visited(void *ctx, const char *name)
{
    struct walk *walk = ctx;
    walk->count++;
    uint64_t number = 0;
    assert_true(num_parse_u64(slice_str(name + 1), &number));
    walk->sum += (unsigned)number;
    assert_int_equal(fs_unlink(fs_posix(), in(walk->state, name).text), 0);
    return walk->count == walk->stop_at ? -ECANCELED : 0;
}

static void list_names_each_once_even_while_they_go(void **state)
{
    const char *dir = ((struct tmpdir *)*state)->path;
    unsigned sum = 0;
    for (unsigned i = 0; i < 500; i++) {
        char name[16];
        snprintf(name, sizeof(name), "f%u", i);
        file_unref(open_in(state, name, FS_WRITE | FS_CREATE));
        sum += i;
    }
    struct walk walk = {.state = state, .stop_at = 3};
    assert_int_equal(fs_list(fs_posix(), dir, remove_visited, &walk), -ECANCELED);
    assert_int_equal(walk.count, 3);
    walk.stop_at = 0;
    assert_int_equal(fs_list(fs_posix(), dir, remove_visited, &walk), 0);
    assert_int_equal(walk.count, 500);
    assert_int_equal(walk.sum, sum);
    assert_int_equal(fs_list(fs_posix(), in(state, "none").text, remove_visited, &walk), -ENOENT);
}

static void a_path_is_resolved(void **state)
{
    char wanted[FS_PATH_SIZE];
    char found[FS_PATH_SIZE];
    struct fs *fs = fs_posix();
    assert_int_equal(fs_mkdir(fs, in(state, "folder").text), 0);
    assert_int_equal(symlink("folder", in(state, "link").text), 0);
    assert_int_equal(fs_resolve(fs, in(state, "folder").text, wanted), 0);
    assert_int_equal(fs_resolve(fs, in(state, "link/.././link/").text, found), 0);
    assert_string_equal(found, wanted);
    assert_int_equal(fs_resolve(fs, in(state, "link/none").text, found), -ENOENT);
}

static void space_is_plausible(void **state)
{
    struct fs_space space;
    assert_int_equal(fs_space(fs_posix(), ((struct tmpdir *)*state)->path, &space), 0);
    assert_true(space.total_bytes > (1 << 20));
    assert_true(space.free_bytes <= space.total_bytes);
    assert_int_equal(fs_space(fs_posix(), in(state, "none").text, &space), -ENOENT);
}

static void allocated_blocks_read_as_zeros(void **state)
{
    struct file *file = open_in(state, "f", FS_WRITE | FS_CREATE);
    put(file, "written", 0);
    uint64_t size = 0;
    char bytes[64] = "";
    assert_int_equal(file_allocate(file, 40000), 0);
    assert_int_equal(file_size(file, &size), 0);
    assert_int_equal(size, 40000);
    assert_int_equal(file_read_full(file, bytes, sizeof(bytes), 0), 0);
    assert_memory_equal(bytes, "written\0\0", 9);
    assert_int_equal(file_read_full(file, bytes, sizeof(bytes), 40000 - sizeof(bytes)), 0);
    for (size_t i = 0; i < sizeof(bytes); i++)
        assert_int_equal(bytes[i], 0);
    assert_int_equal(file_allocate(file, 100), 0); /* takes nothing away */
    assert_int_equal(file_size(file, &size), 0);
    assert_int_equal(size, 40000);
    file_unref(file);
}

/* ---- Locks ---- */

static void a_lock_is_held_once(void **state)
{
    struct tmpdir_path path = in(state, "lock");
    struct file *first = NULL;
    struct file *second = NULL;
    assert_int_equal(fs_lock(fs_posix(), path.text, &first), 0);
    assert_int_equal(fs_lock(fs_posix(), path.text, &second), ERR_BUSY);
    assert_null(second);
    file_unref(first);
    assert_int_equal(fs_lock(fs_posix(), path.text, &second), 0);
    file_unref(second);
}

static void a_lock_holds_against_another_process(void **state)
{
    struct tmpdir_path path = in(state, "lock");
    struct file *lock = NULL;
    int to_parent[2];
    int to_child[2];
    assert_int_equal(pipe(to_parent), 0);
    assert_int_equal(pipe(to_child), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte = fs_lock(fs_posix(), path.text, &lock) == 0 ? 'y' : 'n';
        if (write(to_parent[1], &byte, 1) == 1 && read(to_child[0], &byte, 1) == 1)
            _exit(0);
        _exit(1);
    }
    char byte = 0;
    assert_int_equal(read(to_parent[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(fs_lock(fs_posix(), path.text, &lock), ERR_BUSY);
    assert_int_equal(write(to_child[1], "", 1), 1);
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    /* Its end has let go, without any word of its own. */
    assert_int_equal(fs_lock(fs_posix(), path.text, &lock), 0);
    file_unref(lock);
    for (int i = 0; i < 2; i++) {
        close(to_parent[i]);
        close(to_child[i]);
    }
}

/* ---- Bytes ---- */

static void bytes_come_back_from_their_place(void **state)
{
    struct file *file = open_in(state, "f", FS_WRITE | FS_CREATE);
    put(file, "world", 6);
    put(file, "hello", 0);
    char text[32] = {0};
    assert_int_equal(file_pread(file, text, sizeof(text), 0), 11);
    assert_memory_equal(text, "hello\0world", 11);
    assert_int_equal(file_pread(file, text, sizeof(text), 11), 0);
    assert_int_equal(file_read_full(file, text, 5, 6), 0);
    assert_memory_equal(text, "world", 5);
    assert_int_equal(file_read_full(file, text, 6, 6), ERR_TORN);

    uint64_t size = 0;
    assert_int_equal(file_truncate(file, 3), 0);
    assert_int_equal(file_size(file, &size), 0);
    assert_int_equal(size, 3);
    assert_int_equal(file_truncate(file, 10), 0);
    assert_int_equal(file_read_full(file, text, 10, 0), 0);
    assert_memory_equal(text, "hel\0\0\0\0\0\0\0", 10);
    assert_int_equal(file_sync(file), 0);
    file_unref(file);
}

static bool is_resident(const struct file *file)
{
    unsigned char is_in = 1;
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file_fd(file), 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    assert_int_equal(mincore(map, 4096, &is_in), 0);
    assert_int_equal(munmap(map, 4096), 0);
    return (is_in & 1) != 0;
}

static void bytes_that_are_not_cached_are_not_waited_for(void **state)
{
    struct file *file = open_in(state, "f", FS_WRITE | FS_CREATE);
    put(file, "on the disk only", 0);
    assert_int_equal(file_sync(file), 0);
    assert_int_equal(posix_fadvise(file_fd(file), 0, 0, POSIX_FADV_DONTNEED), 0);
    char text[16];
    if (!is_resident(file)) {
        ssize_t got = file_pread_nowait(file, text, sizeof(text), 0);
        assert_true(got == -EAGAIN || got == -EOPNOTSUPP);
    }
    assert_int_equal(file_pread(file, text, sizeof(text), 0), sizeof(text));
    file_unref(file);
}

/* ---- Syncs, as the kernel is asked for them ---- */

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

static struct {
    unsigned file_calls;
    unsigned dir_calls;
    unsigned interruptions; /* first */
    int error;              /* then, once */
} syncs;

static int sync_result(int fd, int (*real)(int fd))
{
    int error = 0;
    if (syncs.interruptions > 0) {
        syncs.interruptions--;
        error = EINTR;
    } else if (syncs.error != 0) {
        error = syncs.error;
        syncs.error = 0;
    }
    if (error == 0)
        return real(fd);
    errno = error;
    return -1;
}

int __wrap_fdatasync(int fd)
{
    syncs.file_calls++;
    return sync_result(fd, __real_fdatasync);
}

int __wrap_fsync(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    syncs.dir_calls++;
    return sync_result(fd, __real_fsync);
}

static void a_sync_asks_the_kernel_and_takes_its_word(void **state)
{
    const char *dir = ((struct tmpdir *)*state)->path;
    struct file *file = open_in(state, "f", FS_WRITE | FS_CREATE);
    memset(&syncs, 0, sizeof(syncs));
    assert_int_equal(file_sync(file), 0);
    assert_int_equal(syncs.file_calls, 1);
    assert_int_equal(fs_sync_dir(fs_posix(), dir), 0);
    assert_int_equal(syncs.dir_calls, 1);

    syncs.interruptions = 2;
    assert_int_equal(file_sync(file), 0);
    assert_int_equal(syncs.file_calls, 4);
    /* A failure is not tried again. */
    syncs.error = EIO;
    assert_int_equal(file_sync(file), -EIO);
    assert_int_equal(syncs.file_calls, 5);
    syncs.interruptions = 1;
    syncs.error = ENOSPC;
    assert_int_equal(fs_sync_dir(fs_posix(), dir), -ENOSPC);
    assert_int_equal(syncs.dir_calls, 3);
    file_unref(file);
}

static void cached_bytes_are_read_without_waiting(void **state)
{
    struct file *file = open_in(state, "f", FS_WRITE | FS_CREATE);
    put(file, "cached", 0);
    char text[8] = {0};
    ssize_t got = file_pread_nowait(file, text, 6, 0);
    if (got != -EOPNOTSUPP) {
        assert_int_equal(got, 6);
        assert_memory_equal(text, "cached", 6);
    }
    file_unref(file);
}

static void a_file_outlives_its_name_until_the_last_unref(void **state)
{
    struct file *file = open_in(state, "f", FS_WRITE | FS_CREATE);
    put(file, "still here", 0);
    assert_int_equal(fs_unlink(fs_posix(), in(state, "f").text), 0);
    assert_ptr_equal(file_ref(file), file);
    int fd = file_fd(file);
    file_unref(file);
    char text[16];
    assert_int_equal(file_pread(file, text, sizeof(text), 0), 10);
    assert_memory_equal(text, "still here", 10);
    file_unref(file);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    file_unref(NULL);
}

static void direct_files_refuse_what_is_not_aligned(void **state)
{
    struct file *file = NULL;
    unsigned flags = FS_WRITE | FS_CREATE | FS_DIRECT;
    int rc = fs_open(fs_posix(), in(state, "f").text, flags, &file);
    if (rc == -EINVAL)
        skip();
    assert_int_equal(rc, 0);
    uint8_t *page = mem_try_alloc_aligned(4096, 8192);
    assert_non_null(page);
    memset(page, 'd', 8192);
    assert_int_equal(file_pwrite(file, page, 4096, 4096), 4096);
    assert_int_equal(file_pwrite(file, page + 1, 4096, 0), -EINVAL);
    assert_int_equal(file_pwrite(file, page, 4096, 100), -EINVAL);
    assert_int_equal(file_pwrite(file, page, 100, 0), -EINVAL);
    memset(page, 0, 8192);
    assert_int_equal(file_pread(file, page, 8192, 0), 8192);
    assert_int_equal(page[0], 0);
    assert_int_equal(page[4096], 'd');
    file_unref(file);
    mem_free(page);
}

static void a_file_size_limit_ends_a_write_where_it_stands(void **state)
{
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {.rlim_cur = 6, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    struct file *file = open_in(state, "f", FS_WRITE | FS_CREATE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    size_t done = 99;
    int rc = file_write_full(file, "0123456789", 10, 0, &done);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rc, -EFBIG);
    assert_int_equal(done, 6);
    assert_int_equal(file_write_full(file, "6789", 4, done, &done), 0);
    char text[10];
    assert_int_equal(file_read_full(file, text, 10, 0), 0);
    assert_memory_equal(text, "0123456789", 10);
    file_unref(file);
}

/* ---- The wrappers, over a file that does as it is told ---- */

struct odd_file {
    struct file file;
    char bytes[64];
    size_t len;
    size_t step; /* bytes a call moves at most */
    int fail_at; /* calls left until `error`, 0: never */
    int error;
    unsigned closed;
};

static bool odd_fails(struct odd_file *odd)
{
    return odd->fail_at > 0 && --odd->fail_at == 0;
}

static ssize_t odd_pread(struct file *file, void *to, size_t size, uint64_t off, bool no_wait)
{
    (void)no_wait;
    struct odd_file *odd = CONTAINER_OF(file, struct odd_file, file);
    if (odd_fails(odd))
        return odd->error;
    size_t left = off < odd->len ? odd->len - off : 0;
    size_t n = size < odd->step ? size : odd->step;
    n = n < left ? n : left;
    memcpy(to, odd->bytes + off, n);
    return (ssize_t)n;
}

static ssize_t odd_pwrite(struct file *file, const void *from, size_t size, uint64_t off)
{
    struct odd_file *odd = CONTAINER_OF(file, struct odd_file, file);
    if (odd_fails(odd))
        return odd->error;
    size_t n = size < odd->step ? size : odd->step;
    assert_true(off + n <= sizeof(odd->bytes));
    memcpy(odd->bytes + off, from, n);
    odd->len = off + n > odd->len ? off + n : odd->len;
    return (ssize_t)n;
}

static void odd_close(struct file *file)
{
    CONTAINER_OF(file, struct odd_file, file)->closed++;
}

static const struct file_ops odd_ops = {
    .pread = odd_pread, .pwrite = odd_pwrite, .close = odd_close};

static struct odd_file odd_file_of(size_t step)
{
    return (struct odd_file){.file = {.ops = &odd_ops, .ref_count = 1}, .step = step};
}

static void short_writes_and_reads_are_continued_at_their_place(void **state)
{
    (void)state;
    for (size_t step = 1; step <= 11; step++) {
        struct odd_file odd = odd_file_of(step);
        size_t done = 0;
        assert_int_equal(file_write_full(&odd.file, "0123456789", 10, 3, &done), 0);
        assert_int_equal(done, 10);
        assert_int_equal(odd.len, 13);
        char text[10];
        assert_int_equal(file_read_full(&odd.file, text, 10, 3), 0);
        assert_memory_equal(text, "0123456789", 10);
        assert_int_equal(file_read_full(&odd.file, text, 10, 4), ERR_TORN);
    }
}

static void a_failed_write_says_how_far_it_came(void **state)
{
    (void)state;
    struct odd_file odd = odd_file_of(4);
    odd.fail_at = 3;
    odd.error = -ENOSPC;
    size_t done = 0;
    assert_int_equal(file_write_full(&odd.file, "0123456789", 10, 0, &done), -ENOSPC);
    assert_int_equal(done, 8);
    odd.step = 0;
    assert_int_equal(file_write_full(&odd.file, "0123456789", 10, 0, &done), -EIO);
    assert_int_equal(done, 0);
    odd.step = 4;
    odd.fail_at = 2;
    odd.error = -EIO;
    char text[10];
    assert_int_equal(file_read_full(&odd.file, text, 8, 0), -EIO);
}

static void the_last_unref_closes_once(void **state)
{
    (void)state;
    struct odd_file odd = odd_file_of(1);
    file_ref(&odd.file);
    file_ref(&odd.file);
    file_unref(&odd.file);
    file_unref(&odd.file);
    assert_int_equal(odd.closed, 0);
    file_unref(&odd.file);
    assert_int_equal(odd.closed, 1);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(open_obeys_its_flags),
        IN_DIR(a_folder_is_not_a_file),
        IN_DIR(folders_are_made_and_removed),
        IN_DIR(names_move_link_and_go),
        IN_DIR(sync_dir_takes_only_folders),
        IN_DIR(list_names_each_once_even_while_they_go),
        IN_DIR(a_path_is_resolved),
        IN_DIR(space_is_plausible),
        IN_DIR(allocated_blocks_read_as_zeros),
        IN_DIR(a_lock_is_held_once),
        IN_DIR(a_lock_holds_against_another_process),
        IN_DIR(bytes_come_back_from_their_place),
        IN_DIR(cached_bytes_are_read_without_waiting),
        IN_DIR(bytes_that_are_not_cached_are_not_waited_for),
        IN_DIR(a_sync_asks_the_kernel_and_takes_its_word),
        IN_DIR(a_file_outlives_its_name_until_the_last_unref),
        IN_DIR(direct_files_refuse_what_is_not_aligned),
        IN_DIR(a_file_size_limit_ends_a_write_where_it_stands),
        cmocka_unit_test(short_writes_and_reads_are_continued_at_their_place),
        cmocka_unit_test(a_failed_write_says_how_far_it_came),
        cmocka_unit_test(the_last_unref_closes_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
