/* SPDX-License-Identifier: Apache-2.0 */
/* bitcask_world: a bitcask on a simulated disk, with the manifest in the test's hands and a memory
 * of every record that was appended.
 *
 * Records are made from a seed, so that an entry is a few words and can be made again whenever it
 * has to be compared. Jobs run inline, when asked for.
 */
#ifndef SUPPORT_BITCASK_WORLD_H
#define SUPPORT_BITCASK_WORLD_H

#include "bitcask/bitcask.h"
#include "bitcask/merge.h"
#include "bitcask/upkeep.h"
#include "support/random.h"
#include "support/simdisk.h"

#define WORLD_DIR "/data/shard_3"

/* A record that was appended, and where it was said to lie. */
struct world_entry {
    uint64_t seed;
    uint64_t position;
    uint32_t file_id; /* 0: nowhere any more, as far as readers go */
    uint64_t off;
};

/* Bytes in a file that are an entry's: as appended, or as a merge has copied them. */
struct world_copy {
    size_t entry;
    uint32_t file_id;
    uint64_t off;
};

struct world_copies {
    struct world_copy *items;
    size_t count;
    size_t cap;
};

/* What a durable manifest would say. */
struct world_manifest {
    struct bitcask_named *named;
    size_t named_count;
    uint32_t next_id;
    size_t entry_count;         /* entries that it may know of */
    struct world_copies copies; /* these and no others are the state on disk; by file and offset */
};

/* What a merge thinks of an entry; those that lie elsewhere by now are dropped without asking. */
typedef enum merge_verdict (*world_judge_fn)(void *ctx, const struct record *record, size_t entry,
                                             uint64_t outside_index);

struct world {
    struct simdisk *disk;
    bool owns_disk;
    struct simclock clock;
    struct simchance chance;
    struct epoch *epoch;
    struct random random;
    uint64_t max_file_size;
    struct bitcask *bc;

    struct world_entry *entries; /* oldest first */
    size_t entry_count;
    size_t entry_cap;
    struct world_manifest *manifests; /* the first is the empty one */
    size_t manifest_count;
    size_t marked_entries;      /* at the mark */
    struct world_copies copies; /* in the files of now */
    struct world_copies marked; /* at the mark */

    struct bitcask_merge *merge; /* under way, or NULL */
    world_judge_fn judge;        /* NULL: by chance of the entry's seed */
    void *judge_ctx;
    uint32_t output_id; /* where the next record that is kept should come to lie; 0: a new file */
    uint64_t output_off;

    uint8_t *scratch; /* of the record made last */
    bool *told;       /* of each copy, in the recovery that is going on */
    size_t visited;   /* copies told of by the last recovery */
    size_t remarks;   /* made by it */
    char remark[400]; /* the last one */
};

/* Nothing opened yet; the disk has the parent directory, durably. */
struct world *world_new(uint64_t seed, uint64_t max_file_size);

/* The world as its manifest number `manifest` knows it, on another disk, which it owns. */
struct world *world_on_image(const struct world *before, struct simdisk *image, size_t manifest,
                             uint64_t seed);
void world_free(struct world *world);

/* The record of an entry; valid until the next call. */
struct record world_record(struct world *world, const struct world_entry *entry);

/* Opens with the newest manifest. On success the test has failed unless exactly the manifest's
 * entries came back, each as it was and where it was; later ones are forgotten. */
int world_open(struct world *world, struct diag *diag);
/* The same, which must succeed. */
void world_must_open(struct world *world);
void world_close(struct world *world);

/* The options that world_open() uses. */
struct bitcask_options world_options(struct world *world);

/* Appends a record made from `seed`. */
void world_append_seed(struct world *world, uint64_t seed);
/* Appends `count` random ones. */
void world_append(struct world *world, size_t count);

/* Takes, runs and hands back a write; 0 also if there was none. */
int world_write(struct world *world);
void world_mark(struct world *world);
/* Takes, runs and hands back the mark's sync; on success there is a new manifest, noted on the
 * disk in slot 0, and what it does not name may be unlinked. */
int world_sync(struct world *world);
/* Write, mark, write, sync: all must succeed. */
void world_checkpoint(struct world *world);

const struct world_manifest *world_manifest(const struct world *world);

/* Every PUT among the entries can be read by its place. */
void world_check_reads(struct world *world);

/* The test has failed unless the record is the entry. One that a hint tells of has no value. */
void world_check_entry(struct world *world, const struct record *record, size_t entry);

void world_add_copy(struct world *world, size_t entry, uint32_t file_id, uint64_t off);

/* ---- Upkeep (bitcask_world_merge.c) ---- */

/* Seals the current file: appends until there is another one. */
void world_seal(struct world *world);

/* Begins a merge of all sealed files, or of those of `ids`; false if there are none. */
bool world_merge_all(struct world *world);
void world_merge_begin(struct world *world, const uint32_t *ids, size_t count);
/* Runs a slice and takes it back; when the merge is over it is freed. */
enum merge_state world_merge_step(struct world *world, struct diag *diag);
/* Steps to the end; it must be DONE. */
void world_merge_finish(struct world *world);
/* A merge of all sealed files from end to end. */
void world_merge(struct world *world);

/* As bitcask_hint_take(), but every sealed file counts as worth a hint, whatever lives in it. */
struct bitcask_hint *world_hint_take(struct world *world, bool is_last);

/* Writes the next hint: 0, why not, or ERR_NOT_FOUND if none is wanted. */
int world_hint(struct world *world, bool is_last, struct diag *diag);
/* All that are wanted, which must succeed. Returns how many. */
size_t world_hint_all(struct world *world, bool is_last);

/* Unlinks what may go. Returns the bytes. */
uint64_t world_unlink(struct world *world);

/* Is there such a file on the disk? */
bool world_has_file(struct world *world, const char *path);

/* A path below WORLD_DIR; valid for the next three calls of the same thread. */
const char *world_path(const char *name);
/* "<id>.log", "<id>.hint". */
const char *world_file(uint32_t id);
const char *world_hint_file(uint32_t id);

#endif
