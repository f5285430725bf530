/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated disk.
 *
 * Two states stand side by side. The live one is what reads see: a tree of names and the contents
 * of files, changed at once by every call. The other is the trace: each file keeps the list of all
 * writes and truncations it has met (ops), each name the list of all things it has stood for
 * (states), and every change carries the number of the step that made it and of the step from
 * which on it is durable. Nothing is ever taken out of the trace, so the disk as a power loss at
 * step k may leave it can be worked out at any later time:
 *
 *   a name    was durable as it stood at the last sync of its folder by step k; it may be in that
 *             state or in any that it has had since;
 *   an op     durable by step k is there. Of one that is not, any 512-byte sectors may be there,
 *             with what that sector held then, and the file may or may not have grown by it.
 *
 * simdisk_image.c builds that. What makes 5,000 images of one run affordable: an image shares
 * pages with the trace, and the states that a file had after its first n ops, all of them durable,
 * are kept every 128 KiB or so, so that only the ops since then are replayed.
 *
 * Files: simdisk.c       the disk, steps, notes, faults
 *        simdisk_names.c the tree of names and its history
 *        simdisk_fs.c    the disk as a struct fs
 *        simdisk_file.c  its files, and the trace of their bytes
 *        simdisk_aio.c   the disk as a struct aio
 *        simdisk_image.c states after a power loss
 *        simdisk_content.c  bytes, copied on write
 *        simdisk_clock.c    time and chance
 */
#include "support/simdisk_internal.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

void *sim_grow(void *items, size_t *cap, size_t count, size_t item_size)
{
    if (count < *cap)
        return items;
    *cap = *cap == 0 ? 4 : *cap * 2;
    return mem_realloc(items, *cap * item_size);
}

uint64_t sim_next(uint64_t *random)
{
    uint64_t z = __atomic_add_fetch(random, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t sim_below(uint64_t *random, uint64_t bound)
{
    ASSERT(bound > 0);
    return sim_next(random) % bound;
}

struct simdisk *simdisk_new(uint64_t seed)
{
    struct simdisk *disk = mem_calloc(1, sizeof(*disk));
    disk->fs.ops = &sim_fs_ops;
    disk->random = seed;
    disk->capacity_pages = UINT64_MAX;
    lock_init(&disk->lock);
    list_init(&disk->aios);
    disk->inodes = sim_grow(NULL, &disk->inode_cap, 0, sizeof(disk->inodes[0]));
    disk->inodes[0] = NULL;
    disk->inode_count = 1;
    struct sim_inode *root = sim_inode_new(disk, NULL);
    ASSERT(root->id == SIM_ROOT_INODE);
    root->link_count = 2;
    return disk;
}

void simdisk_free(struct simdisk *disk)
{
    if (disk == NULL)
        return;
    ASSERT(disk->open_count == 0);
    for (size_t i = 1; i < disk->inode_count; i++)
        sim_inode_free(disk->inodes[i]);
    for (size_t i = 0; i < disk->path_count; i++)
        mem_free(disk->paths[i].text);
    for (size_t i = 0; i < disk->fault_count; i++)
        mem_free(disk->faults[i].path_part);
    for (size_t i = 0; i < SIM_NOTE_SLOTS; i++)
        mem_free(disk->notes[i].items);
    mem_free(disk->inodes);
    mem_free(disk->paths);
    mem_free(disk->faults);
    mem_free(disk->steps);
    arena_fini(&disk->data);
    lock_fini(&disk->lock);
    mem_free(disk);
}

struct fs *simdisk_fs(struct simdisk *disk)
{
    return &disk->fs;
}

/* ---- Steps ---- */

static const struct step_row {
    const char *name;
    bool is_durable;
} step_rows[STEP_KIND_COUNT] = {
    [STEP_CREATE] = {"create", false},
    [STEP_MKDIR] = {"mkdir", false},
    [STEP_RMDIR] = {"rmdir", false},
    [STEP_RENAME] = {"rename", false},
    [STEP_LINK] = {"link", false},
    [STEP_UNLINK] = {"unlink", false},
    [STEP_WRITE] = {"write", false},
    [STEP_TRUNCATE] = {"truncate", false},
    [STEP_SYNC] = {"sync", true},
    [STEP_SYNC_FAILED] = {"sync failed", false},
    [STEP_SYNC_DIR] = {"sync dir", true},
    [STEP_SYNC_DIR_FAILED] = {"sync dir failed", false},
    [STEP_AIO_SUBMIT] = {"aio submit", false},
    [STEP_AIO_DONE] = {"aio done", true},
    [STEP_AIO_FAILED] = {"aio failed", false},
    [STEP_CORRUPT] = {"corrupt", false},
};

uint64_t sim_step(struct simdisk *disk, enum sim_step_kind kind, uint32_t path_idx)
{
    disk->steps = sim_grow(disk->steps, &disk->step_cap, disk->step_count, sizeof(disk->steps[0]));
    disk->steps[disk->step_count++] = (struct sim_step){.kind = kind, .path_idx = path_idx};
    return disk->step_count;
}

uint64_t simdisk_steps(struct simdisk *disk)
{
    lock_take(&disk->lock);
    uint64_t count = disk->step_count;
    lock_drop(&disk->lock);
    return count;
}

static struct sim_step step_at(struct simdisk *disk, uint64_t step)
{
    lock_take(&disk->lock);
    ASSERT(step >= 1 && step <= disk->step_count);
    struct sim_step found = disk->steps[step - 1];
    lock_drop(&disk->lock);
    return found;
}

const char *simdisk_step_name(struct simdisk *disk, uint64_t step)
{
    return step == 0 ? "start" : step_rows[step_at(disk, step).kind].name;
}

bool simdisk_step_is_durable(struct simdisk *disk, uint64_t step)
{
    return step != 0 && step_rows[step_at(disk, step).kind].is_durable;
}

const char *simdisk_step_path(struct simdisk *disk, uint64_t step)
{
    if (step == 0)
        return "";
    uint32_t idx = step_at(disk, step).path_idx;
    lock_take(&disk->lock);
    const char *text = disk->paths[idx].text;
    lock_drop(&disk->lock);
    return text;
}

/* ---- Notes ---- */

void simdisk_note(struct simdisk *disk, unsigned slot, uint64_t value)
{
    ASSERT(slot < SIM_NOTE_SLOTS);
    lock_take(&disk->lock);
    struct sim_notes *notes = &disk->notes[slot];
    notes->items = sim_grow(notes->items, &notes->cap, notes->count, sizeof(notes->items[0]));
    notes->items[notes->count++] = (struct sim_note){.step = disk->step_count, .value = value};
    lock_drop(&disk->lock);
}

uint64_t simdisk_noted(struct simdisk *disk, unsigned slot, uint64_t step)
{
    ASSERT(slot < SIM_NOTE_SLOTS);
    lock_take(&disk->lock);
    const struct sim_notes *notes = &disk->notes[slot];
    size_t low = 0; /* how many are at or before `step` */
    size_t high = notes->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (notes->items[mid].step <= step)
            low = mid + 1;
        else
            high = mid;
    }
    uint64_t value = low == 0 ? 0 : notes->items[low - 1].value;
    lock_drop(&disk->lock);
    return value;
}

/* ---- Faults ---- */

uint32_t sim_path_idx(struct simdisk *disk, const char *path)
{
    for (size_t i = 0; i < disk->path_count; i++)
        if (strcmp(disk->paths[i].text, path) == 0)
            return (uint32_t)i;
    disk->paths = sim_grow(disk->paths, &disk->path_cap, disk->path_count, sizeof(disk->paths[0]));
    disk->paths[disk->path_count] = (struct sim_path){.text = mem_dup_str(path)};
    return (uint32_t)disk->path_count++;
}

static bool path_has(const char *path, const char *part)
{
    return part == NULL || strstr(path, part) != NULL;
}

bool sim_meets_fault(struct simdisk *disk, enum simdisk_op op, uint32_t path_idx, int *out_error)
{
    struct sim_path *path = &disk->paths[path_idx];
    path->counts[__builtin_ctz(op)]++;
    bool is_met = false;
    for (size_t i = 0; i < disk->fault_count; i++) {
        struct sim_fault *fault = &disk->faults[i];
        if (fault->has_fired || (fault->ops & op) == 0 || !path_has(path->text, fault->path_part))
            continue;
        fault->left--;
        if (fault->left > 0 || is_met)
            continue;
        fault->has_fired = true;
        fault->path_idx = path_idx;
        *out_error = fault->error;
        is_met = true;
    }
    return is_met;
}

size_t sim_short_len(struct simdisk *disk, size_t len, bool is_direct)
{
    size_t unit = !is_direct ? 1 : len > SIM_PAGE_SIZE ? SIM_PAGE_SIZE : SIM_SECTOR_SIZE;
    size_t units = len / unit;
    return units <= 1 ? len : unit * (size_t)(1 + sim_below(&disk->random, units - 1));
}

void simdisk_fail_nth(struct simdisk *disk, unsigned ops, const char *path_part, uint64_t n,
                      int error)
{
    ASSERT(n > 0 && error <= 0 && ops != 0 && (ops & ~(unsigned)SIM_ANY) == 0);
    ASSERT(error != 0 || (ops & ~(unsigned)(SIM_WRITE | SIM_AIO)) == 0);
    lock_take(&disk->lock);
    disk->faults =
        sim_grow(disk->faults, &disk->fault_cap, disk->fault_count, sizeof(disk->faults[0]));
    disk->faults[disk->fault_count++] = (struct sim_fault){
        .ops = ops,
        .path_part = path_part == NULL ? NULL : mem_dup_str(path_part),
        .left = n,
        .error = error,
    };
    lock_drop(&disk->lock);
}

bool simdisk_fault_fired(struct simdisk *disk)
{
    lock_take(&disk->lock);
    bool has_fired = disk->fault_count > 0;
    for (size_t i = 0; i < disk->fault_count; i++)
        has_fired = has_fired && disk->faults[i].has_fired;
    lock_drop(&disk->lock);
    return has_fired;
}

const char *simdisk_fault_path(struct simdisk *disk)
{
    const char *text = "";
    lock_take(&disk->lock);
    for (size_t i = 0; i < disk->fault_count; i++) {
        if (disk->faults[i].has_fired)
            text = disk->paths[disk->faults[i].path_idx].text;
    }
    lock_drop(&disk->lock);
    return text;
}

uint64_t simdisk_count(struct simdisk *disk, unsigned ops, const char *path_part)
{
    STATIC_ASSERT(SIM_ANY + 1 == 1 << SIM_OP_KINDS, "one counter a kind");
    uint64_t sum = 0;
    lock_take(&disk->lock);
    for (size_t i = 0; i < disk->path_count; i++)
        for (unsigned kind = 0; kind < SIM_OP_KINDS; kind++)
            if ((ops & (1u << kind)) != 0 && path_has(disk->paths[i].text, path_part))
                sum += disk->paths[i].counts[kind];
    lock_drop(&disk->lock);
    return sum;
}

/* ---- Space, rot ---- */

void simdisk_set_capacity(struct simdisk *disk, uint64_t bytes)
{
    lock_take(&disk->lock);
    disk->capacity_pages = bytes / SIM_PAGE_SIZE;
    lock_drop(&disk->lock);
}

uint64_t sim_free_pages(const struct simdisk *disk)
{
    return disk->used_pages < disk->capacity_pages ? disk->capacity_pages - disk->used_pages : 0;
}

bool simdisk_corrupt(struct simdisk *disk, const char *path, uint64_t off, uint8_t mask)
{
    lock_take(&disk->lock);
    struct sim_inode *inode = NULL;
    int rc = sim_find(disk, path, &inode);
    bool is_there = rc == 0 && !inode->is_dir && off < inode->live->size;
    if (is_there) {
        uint64_t step = sim_step(disk, STEP_CORRUPT, sim_path_idx(disk, path));
        struct sim_op op = {.kind = OP_FLIP, .durable = step, .off = off, .mask = mask};
        sim_apply(disk, inode, &op);
        sim_add_op(disk, inode, op);
    }
    lock_drop(&disk->lock);
    return is_there;
}
