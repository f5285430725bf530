/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the simulated disk. See the essay at the head of simdisk.c.
 *
 * All calls here expect disk->lock to be held.
 */
#ifndef SUPPORT_SIMDISK_INTERNAL_H
#define SUPPORT_SIMDISK_INTERNAL_H

#include "support/simdisk.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "os/thread.h"
#include "support/simdisk_content.h"
#include "support/simdisk_trace.h"

#define SIM_SECTOR_SIZE 512
#define SIM_NAME_MAX    255
#define SIM_OP_KINDS    10
#define SIM_NOTE_SLOTS  8

/* A path as it was asked for, with how often each kind of operation met it. */
struct sim_path {
    char *text;
    uint64_t counts[SIM_OP_KINDS];
};

struct sim_fault {
    unsigned ops;
    char *path_part;
    uint64_t left;
    int error;
    bool has_fired;
    uint32_t path_idx; /* that it has met */
};

struct sim_note {
    uint64_t step;
    uint64_t value;
};

struct sim_notes {
    struct sim_note *items;
    size_t count;
    size_t cap;
};

struct simdisk {
    struct fs fs;
    struct lock lock;
    uint64_t random;

    struct sim_inode **inodes; /* by id; the first is none */
    size_t inode_count;
    size_t inode_cap;
    struct sim_step *steps; /* step n is steps[n - 1] */
    size_t step_count;
    size_t step_cap;
    struct arena data;

    struct sim_path *paths;
    size_t path_count;
    size_t path_cap;
    struct sim_fault *faults;
    size_t fault_count;
    size_t fault_cap;
    struct sim_notes notes[SIM_NOTE_SLOTS];

    uint64_t capacity_pages;
    uint64_t used_pages;
    int space_error;
    bool is_space_fake;
    struct fs_space fake_space;
    uint64_t space_count;
    unsigned open_count; /* files and aios */
    struct list_node aios;
    bool is_held;
};

struct sim_file {
    struct file file;
    struct simdisk *disk;
    struct sim_inode *inode;
    unsigned flags;
    uint32_t path_idx;
    unsigned in_flight; /* aio writes */
    bool has_lock;
};

/* ---- simdisk.c ---- */

/* Room for one more item. */
void *sim_grow(void *items, size_t *cap, size_t count, size_t item_size);
/* splitmix64. Thread: any. */
uint64_t sim_next(uint64_t *random);
/* 0 .. bound - 1. */
uint64_t sim_below(uint64_t *random, uint64_t bound);

uint64_t sim_step(struct simdisk *disk, enum sim_step_kind kind, uint32_t path_idx);
uint32_t sim_path_idx(struct simdisk *disk, const char *path);
/* Counts the operation. True if it has to fail, or, with *out_error 0, to fall short. */
bool sim_meets_fault(struct simdisk *disk, enum simdisk_op op, uint32_t path_idx, int *out_error);
/* A length shorter than `len` where there is one, in units the kind of file allows. */
size_t sim_short_len(struct simdisk *disk, size_t len, bool is_direct);
uint64_t sim_free_pages(const struct simdisk *disk);

/* ---- simdisk_names.c ---- */

struct sim_place {
    struct sim_inode *dir;
    char name[SIM_NAME_MAX + 1]; /* empty: the root itself */
};

/* A file that begins with `base`, which it takes over; NULL: a folder. */
struct sim_inode *sim_inode_new(struct simdisk *disk, struct content *base);
void sim_inode_free(struct sim_inode *inode);
/* Drops the bytes of a file that has neither a name nor a user left. */
void sim_inode_settle(struct simdisk *disk, struct sim_inode *inode);

/* The parent and the last name of a path. -ENOENT, -ENOTDIR, -ENAMETOOLONG, -EINVAL. */
int sim_resolve(struct simdisk *disk, const char *path, struct sim_place *out_place);
/* What a name stands for now, or NULL. */
struct sim_inode *sim_look_up(struct simdisk *disk, const struct sim_inode *dir, const char *name);
/* What a path stands for now. 0 or an error of sim_resolve(). */
int sim_find(struct simdisk *disk, const char *path, struct sim_inode **out_inode);
/* Gives the name its next state, as of the last step. `inode` NULL: gone. */
void sim_set_name(struct simdisk *disk, struct sim_inode *dir, const char *name,
                  struct sim_inode *inode);
/* The same where the folder has never had such a name. */
void sim_add_name(struct simdisk *disk, struct sim_inode *dir, const char *name,
                  struct sim_inode *inode);
bool sim_dir_is_empty(const struct sim_inode *dir);

/* ---- simdisk_fs.c ---- */

extern const struct fs_ops sim_fs_ops;

/* ---- simdisk_file.c ---- */

struct file *sim_file_new(struct simdisk *disk, struct sim_inode *inode, unsigned flags,
                          uint32_t path_idx);
struct sim_file *sim_file_of(struct file *file);
/* Adds an op to the trace, as of the last step, and returns its number. */
size_t sim_add_op(struct simdisk *disk, struct sim_inode *inode, struct sim_op op);
/* Changes what reads see, and counts pages. */
void sim_apply(struct simdisk *disk, struct sim_inode *inode, const struct sim_op *op);
/* The same to a content that is the caller's own. */
void sim_apply_to(struct content *content, const struct sim_op *op);

#endif
