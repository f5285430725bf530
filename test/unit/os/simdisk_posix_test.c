/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated disk against a real filesystem: the same random calls to both, the same results. */
#include "support/simdisk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/tmpdir.h"

#define PATH_COUNT 18
#define OPEN_MAX   6
#define FILE_END   20000

static const char *const names[PATH_COUNT] = {
    "a",     "b", "c",   "d",   "d/a", "d/b", "d/e", "d/e/a", "d/e/f",
    "d/e/g", "x", "x/a", "x/b", "x/y", "y",   "y/a", "y/b",   "a/b",
};

struct side {
    struct fs *fs;
    const char *root;
    struct file *open[OPEN_MAX];
};

struct pair {
    struct side real;
    struct side sim;
    struct simchance chance;
};

static uint64_t below(struct pair *pair, uint64_t bound)
{
    return chance_u64(&pair->chance.chance) % bound;
}

static struct tmpdir_path at(const struct side *side, const char *name)
{
    struct tmpdir_path path;
    snprintf(path.text, sizeof(path.text), "%s/%s", side->root, name);
    return path;
}

static const char *pick_name(struct pair *pair)
{
    return names[below(pair, PATH_COUNT)];
}

/* ---- The calls; each is made on both sides ---- */

static void try_open(struct pair *pair)
{
    const char *name = pick_name(pair);
    static const unsigned all[] = {FS_READ, FS_WRITE, FS_WRITE | FS_CREATE,
                                   FS_WRITE | FS_CREATE | FS_EXCL};
    unsigned flags = all[below(pair, ARRAY_COUNT(all))];
    uint64_t slot = below(pair, OPEN_MAX);
    struct side *sides[] = {&pair->real, &pair->sim};
    int rcs[2];
    for (int i = 0; i < 2; i++) {
        file_unref(sides[i]->open[slot]);
        sides[i]->open[slot] = NULL;
        rcs[i] = fs_open(sides[i]->fs, at(sides[i], name).text, flags, &sides[i]->open[slot]);
    }
    assert_int_equal(rcs[1], rcs[0]);
}

static void try_write(struct pair *pair)
{
    uint64_t slot = below(pair, OPEN_MAX);
    if (pair->real.open[slot] == NULL)
        return;
    uint8_t bytes[9000];
    size_t len = (size_t)below(pair, sizeof(bytes)) / (1 + below(pair, 100));
    uint64_t off = below(pair, FILE_END);
    memset(bytes, below(pair, 4) == 0 ? 0 : (int)below(pair, 256), len);
    ssize_t real = file_pwrite(pair->real.open[slot], bytes, len, off);
    assert_int_equal(file_pwrite(pair->sim.open[slot], bytes, len, off), real);
}

static void try_read(struct pair *pair)
{
    uint64_t slot = below(pair, OPEN_MAX);
    if (pair->real.open[slot] == NULL)
        return;
    static uint8_t bytes[2][FILE_END];
    size_t len = (size_t)below(pair, FILE_END);
    uint64_t off = below(pair, FILE_END);
    ssize_t real = file_pread(pair->real.open[slot], bytes[0], len, off);
    assert_int_equal(file_pread(pair->sim.open[slot], bytes[1], len, off), real);
    assert_true(real >= 0);
    assert_memory_equal(bytes[0], bytes[1], real);
}

static void try_resize(struct pair *pair)
{
    uint64_t slot = below(pair, OPEN_MAX);
    if (pair->real.open[slot] == NULL)
        return;
    uint64_t size = below(pair, FILE_END);
    int real = file_truncate(pair->real.open[slot], size);
    assert_int_equal(file_truncate(pair->sim.open[slot], size), real);
    uint64_t sizes[2];
    assert_int_equal(file_size(pair->real.open[slot], &sizes[0]), 0);
    assert_int_equal(file_size(pair->sim.open[slot], &sizes[1]), 0);
    assert_int_equal(sizes[0], sizes[1]);
}

static int call_on_name(struct side *side, uint64_t which, const char *from, const char *to)
{
    struct tmpdir_path a = at(side, from);
    struct tmpdir_path b = at(side, to);
    switch (which) {
    case 0:
        return fs_mkdir(side->fs, a.text);
    case 1:
        return fs_rmdir(side->fs, a.text);
    case 2:
        return fs_unlink(side->fs, a.text);
    case 3:
        return fs_link(side->fs, a.text, b.text);
    case 4:
        return fs_sync_dir(side->fs, a.text);
    default:
        return fs_rename(side->fs, a.text, b.text);
    }
}

static void try_name(struct pair *pair)
{
    uint64_t which = below(pair, 7);
    const char *from = pick_name(pair);
    const char *to = pick_name(pair);
    int real = call_on_name(&pair->real, which, from, to);
    int sim = call_on_name(&pair->sim, which, from, to);
    if (real != sim)
        print_error("call %d on %s, %s\n", (int)which, from, to);
    assert_int_equal(sim, real);
}

static void try_stat(struct pair *pair)
{
    const char *name = pick_name(pair);
    struct fs_stat real = {0};
    struct fs_stat sim = {0};
    int rc = fs_stat(pair->real.fs, at(&pair->real, name).text, &real);
    assert_int_equal(fs_stat(pair->sim.fs, at(&pair->sim, name).text, &sim), rc);
    assert_int_equal(sim.is_dir, real.is_dir);
    if (real.is_dir)
        return;
    assert_int_equal(sim.size, real.size);
    assert_int_equal(sim.link_count, real.link_count);
}

/* One bit a name: order does not matter. */
static int note_name(void *ctx, const char *name)
{
    assert_int_equal(strlen(name), 1);
    uint32_t bit = UINT32_C(1) << (name[0] - 'a');
    uint32_t *seen = ctx;
    assert_int_equal(*seen & bit, 0);
    *seen |= bit;
    return 0;
}

static void try_list(struct pair *pair)
{
    const char *name = pick_name(pair);
    uint32_t real = 0;
    uint32_t sim = 0;
    int rc = fs_list(pair->real.fs, at(&pair->real, name).text, note_name, &real);
    assert_int_equal(fs_list(pair->sim.fs, at(&pair->sim, name).text, note_name, &sim), rc);
    assert_int_equal(sim, real);
}

static void run(struct pair *pair)
{
    for (int i = 0; i < 4000; i++) {
        switch (below(pair, 8)) {
        case 0:
        case 1:
            try_open(pair);
            break;
        case 2:
            try_write(pair);
            break;
        case 3:
            try_read(pair);
            break;
        case 4:
            try_resize(pair);
            break;
        case 5:
            try_stat(pair);
            break;
        case 6:
            try_list(pair);
            break;
        default:
            try_name(pair);
        }
    }
}

static void both_give_the_same_results(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t round = 0; round < 25; round++) {
        struct tmpdir dir;
        tmpdir_make(&dir);
        struct simdisk *disk = simdisk_new(seed + round);
        struct pair pair = {
            .real = {.fs = fs_posix(), .root = dir.path},
            .sim = {.fs = simdisk_fs(disk), .root = "root"},
        };
        assert_int_equal(fs_mkdir(pair.sim.fs, "root"), 0);
        simchance_init(&pair.chance, seed + round);
        run(&pair);
        for (int i = 0; i < OPEN_MAX; i++) {
            file_unref(pair.real.open[i]);
            file_unref(pair.sim.open[i]);
        }
        simdisk_free(disk);
        tmpdir_remove(&dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_give_the_same_results)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
