/* SPDX-License-Identifier: Apache-2.0 */
/* The trace of the simulated disk: what was done to each file and each name, and since which step
 * it is durable. See the essay at the head of simdisk.c. */
#ifndef SUPPORT_SIMDISK_TRACE_H
#define SUPPORT_SIMDISK_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/simdisk_content.h"

#define SIM_NEVER UINT64_MAX

#define SIM_NO_INODE   0
#define SIM_ROOT_INODE 1

enum sim_op_kind { OP_WRITE, OP_TRUNCATE, OP_FLIP };

/* Something done to the bytes of one file. */
struct sim_op {
    enum sim_op_kind kind;
    bool is_aio;         /* its completion makes it durable, and no sync does */
    bool is_suspect;     /* a sync of it has failed: never durable */
    bool is_shrink;      /* of OP_TRUNCATE */
    uint8_t mask;        /* of OP_FLIP */
    uint64_t step;       /* when it was done or submitted */
    uint64_t durable;    /* the step from which it is, or SIM_NEVER */
    uint64_t off;        /* the new size of OP_TRUNCATE */
    size_t len;          /* of OP_WRITE */
    const uint8_t *data; /* in the trace's arena; NULL: zeros */
};

/* The state behind the first `op_count` ops, all of them durable by the step `durable`. */
struct sim_prefix {
    size_t op_count;
    uint64_t durable;
    struct content *content;
};

struct sim_name_state {
    uint64_t step;
    uint32_t inode_id; /* SIM_NO_INODE: there is no such name */
};

struct sim_name {
    char *text;
    struct sim_name_state *states;
    size_t state_count;
    size_t state_cap;
};

struct sim_inode {
    uint32_t id;
    bool is_dir;
    bool is_locked;
    uint32_t link_count;
    uint32_t open_count;

    struct content *live; /* what reads see; NULL of a folder, and of what nobody can reach */
    struct sim_op *ops;
    size_t op_count;
    size_t op_cap;
    size_t first_unsynced;
    struct sim_prefix *prefixes; /* by op_count; the first is what the disk began with */
    size_t prefix_count;
    size_t prefix_cap;

    uint32_t parent_id;
    struct sim_name *names;
    size_t name_count;
    size_t name_cap;
    uint64_t *syncs; /* steps */
    size_t sync_count;
    size_t sync_cap;
};

enum sim_step_kind {
    STEP_CREATE,
    STEP_MKDIR,
    STEP_RMDIR,
    STEP_RENAME,
    STEP_LINK,
    STEP_UNLINK,
    STEP_WRITE,
    STEP_TRUNCATE,
    STEP_SYNC,
    STEP_SYNC_FAILED,
    STEP_SYNC_DIR,
    STEP_SYNC_DIR_FAILED,
    STEP_AIO_SUBMIT,
    STEP_AIO_DONE,
    STEP_AIO_FAILED,
    STEP_CORRUPT,
    STEP_KIND_COUNT
};

struct sim_step {
    enum sim_step_kind kind;
    uint32_t path_idx;
};

#endif
