/* SPDX-License-Identifier: Apache-2.0 */
/* checkbench: a data directory as a node leaves it, on a simulated disk, and ferric-check on it. */
#ifndef SUPPORT_CHECKBENCH_H
#define SUPPORT_CHECKBENCH_H

#include "check/check.h"
#include "support/simnode.h"

struct checkbench_options {
    uint64_t seed;
    unsigned writes;    /* of keys k0, k1, ... with values "v<n>" padded to various lengths */
    unsigned keys;      /* 0: as many as writes */
    unsigned tail;      /* so many of them behind the last checkpoint */
    bool is_stopped;    /* in order, so that the log is covered */
    uint64_t file_size; /* of data files; 0: 64 KiB */
    uint32_t shards;    /* 0: 2 */
};

/* A node that has done that and is gone; its disk is the caller's. */
struct simdisk *checkbench_disk(const struct checkbench_options *options);

/* Runs `verb` on the disk's directory. Text is appended to *out (may be NULL), as a string. */
int checkbench_run(struct simdisk *disk, enum check_verb verb, struct buf *out);
int checkbench_run_on(struct simdisk *disk, enum check_verb verb, const char *path, bool is_json,
                      struct buf *out, struct diag *diag);

/* What the next start says of an image of the disk as it is now: 0 and the digest of all keys, or
 * the error. */
int checkbench_start(struct simdisk *disk, uint64_t *out_digest, struct diag *diag);

/* The value of a key after a start, as GET answers it; the caller's (mem_free). */
struct checkbench_state {
    char **values; /* of k0, k1, ...; NULL: absent */
    unsigned count;
};
int checkbench_read(struct simdisk *disk, unsigned keys, struct checkbench_state *out_state,
                    struct diag *diag);
void checkbench_state_fini(struct checkbench_state *state);

/* Gives the data file `<dir>/<id>.log` a sound hint, whether it had one or not. */
void checkbench_write_hint(struct simdisk *disk, const char *dir, uint32_t id);

/* Calls back for every file below the directory, but for those of the quarantine. */
typedef void (*checkbench_file_fn)(void *ctx, const char *path, uint64_t size);
void checkbench_each_file(struct simdisk *disk, checkbench_file_fn visit, void *ctx);

#endif
