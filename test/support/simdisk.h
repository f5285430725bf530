/* SPDX-License-Identifier: Apache-2.0 */
/* simdisk: a disk in memory that remembers everything asked of it, so that the state after a power
 * loss at any moment can be made afterwards, as often as wanted.
 *
 * Every operation that changes something (create, write, truncate, rename, link, unlink, mkdir,
 * sync, directory sync, aio submit and completion) is one step of a trace. simdisk_image() builds
 * the disk as a power loss right after a step may leave it: what was synced is there; of what was
 * not, any subset: each write whole, or only some of its 512-byte sectors, or nothing; each name in
 * any of the states it has had since its directory was last synced, independent of all others (a
 * rename may leave both names, either, or neither); a file's size likewise, and sizes in between.
 * A sector never holds what it did not hold at some moment since it was last synced.
 *
 * A failed file_sync() makes the writes it should have covered unreliable for good, and the next
 * one reports success, as kernels do. So does a failed aio write; a failed fs_sync_dir() only means
 * that nothing has become durable by it. fs_write_back() makes nothing durable.
 *
 * Paths are taken apart at '/'; a leading one makes no difference, ".." is refused. The disk begins
 * with an empty root folder, which is always there. fs_list() gives names in an order of chance;
 * file_pread_nowait() says -EAGAIN or falls short by chance.
 *
 * Threads:  all calls from any thread (one lock inside).
 * Lifetime: files opened from it must be closed before simdisk_free().
 */
#ifndef SUPPORT_SIMDISK_H
#define SUPPORT_SIMDISK_H

#include <stdbool.h>
#include <stdint.h>

#include "os/aio.h"
#include "os/clock.h"
#include "os/fs.h"

struct simdisk;

struct simdisk *simdisk_new(uint64_t seed);
void simdisk_free(struct simdisk *disk);

struct fs *simdisk_fs(struct simdisk *disk);

/* A durable write queue on this disk. Completions come in random order (seed), at the earliest at
 * the next reap; with `is_held` only as simdisk_release() lets them. A reap may find nothing yet:
 * go on until as many have come as were submitted. What was not flushed never completes. Asserts
 * that writes in flight do not overlap and that their bytes stay as they were submitted. fd is -1,
 * files are opened with FS_DIRECT. Closed with aio_close(). */
struct aio *simdisk_aio(struct simdisk *disk);
void simdisk_hold(struct simdisk *disk, bool is_held);
/* Completes one held write, chosen by chance; false if there is none. */
bool simdisk_release(struct simdisk *disk);

/* Steps so far. */
uint64_t simdisk_steps(struct simdisk *disk);

/* Attaches a number of the test's to the current step ("acknowledged up to 17"); simdisk_noted()
 * gives the newest one at or before a step (0 if none). `slot` is 0 .. 7. */
void simdisk_note(struct simdisk *disk, unsigned slot, uint64_t value);
uint64_t simdisk_noted(struct simdisk *disk, unsigned slot, uint64_t step);

/* What kind of step it was: "create", "mkdir", "rmdir", "rename", "link", "unlink", "write",
 * "truncate", "sync", "sync failed", "sync dir", "sync dir failed", "aio submit", "aio done",
 * "aio failed", "corrupt"; for choosing crash points and for messages. Step 0 is "start". */
const char *simdisk_step_name(struct simdisk *disk, uint64_t step);
/* The path as it was given ("from -> to" for two), until simdisk_free(). */
const char *simdisk_step_path(struct simdisk *disk, uint64_t step);
/* True for sync, directory sync, aio completion: the steps after which something is durable. */
bool simdisk_step_is_durable(struct simdisk *disk, uint64_t step);

/* A new disk as a power loss right behind `step` (0: at the beginning) may leave it; `seed` decides
 * what is kept. The new disk has a trace of its own and the same capacity, no locks, faults, notes
 * or counts; the two may be freed in any order. simdisk_image_synced() keeps exactly what was
 * synced and nothing else; simdisk_image_all() everything. */
struct simdisk *simdisk_image(struct simdisk *disk, uint64_t step, uint64_t seed);
struct simdisk *simdisk_image_synced(struct simdisk *disk, uint64_t step);
struct simdisk *simdisk_image_all(struct simdisk *disk, uint64_t step);

/* ---- Faults ---- */

enum simdisk_op {
    SIM_OPEN = 1,    /* also fs_lock */
    SIM_READ = 2,    /* also fs_stat, fs_list */
    SIM_WRITE = 4,   /* file_pwrite */
    SIM_SYNC = 8,    /* file_sync */
    SIM_RENAME = 16, /* also fs_link; either path counts */
    SIM_SYNC_DIR = 32,
    SIM_UNLINK = 64, /* also fs_rmdir */
    SIM_TRUNCATE = 128,
    SIM_AIO = 256,
    SIM_MKDIR = 512,
    SIM_ANY = 1023
};

/* Fails the nth (1: the next) operation among `ops` whose path contains `path_part` (NULL: any)
 * once with `error` (negative errno). For SIM_WRITE and SIM_AIO with error 0: a short write. A call
 * that fails has changed nothing, but for syncs and aio writes (see above). Several faults may
 * wait at a time. */
void simdisk_fail_nth(struct simdisk *disk, unsigned ops, const char *path_part, uint64_t n,
                      int error);
/* Have all faults been met, and is there one? */
bool simdisk_fault_fired(struct simdisk *disk);
/* What the last of those that were met has met; until simdisk_free(). */
const char *simdisk_fault_path(struct simdisk *disk);
/* Operations among `ops` on such paths so far: the bound of a sweep. */
uint64_t simdisk_count(struct simdisk *disk, unsigned ops, const char *path_part);

/* Bytes the disk can hold, counted in written 4 KiB pages of files that have a name or a user;
 * beyond: -ENOSPC, writes may be short. Default: no limit. */
void simdisk_set_capacity(struct simdisk *disk, uint64_t bytes);

/* What fs_space() says from now on instead of the truth: an error, or, with 0, `space`; with 0 and
 * NULL the truth again. */
void simdisk_fake_space(struct simdisk *disk, int error, const struct fs_space *space);
/* How often it was asked. */
uint64_t simdisk_space_count(struct simdisk *disk);

/* Flips bits of one byte of a file as it is, synced state included. False if there is no such byte.
 */
bool simdisk_corrupt(struct simdisk *disk, const char *path, uint64_t off, uint8_t mask);

/* ---- A clock and chance to go with it. ---- */

struct simclock {
    struct clock clock;
    _Atomic uint64_t wall_ms;
    _Atomic uint64_t mono_us;
    _Atomic uint64_t boot_ms;
};
void simclock_init(struct simclock *clock, uint64_t wall_ms);
/* All three times go on by `ms`. */
void simclock_advance(struct simclock *clock, uint64_t ms);

/* Thread: any. */
struct simchance {
    struct chance chance;
    uint64_t state;
};
void simchance_init(struct simchance *chance, uint64_t seed);

/* SEED from the environment, or one from the machine; prints "seed <n>" so that a failure can be
 * run again. */
uint64_t sim_seed(void);

#endif
