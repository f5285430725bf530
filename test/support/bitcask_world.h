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
#include "support/random.h"
#include "support/simdisk.h"

#define WORLD_DIR "/data/shard_3"

/* A record that was appended, and where it was said to lie. */
struct world_entry {
    uint64_t seed;
    uint64_t position;
    uint32_t file_id;
    uint64_t off;
};

/* What a durable manifest would say. */
struct world_manifest {
    struct bitcask_named *named;
    size_t named_count;
    uint32_t next_id;
    size_t entry_count; /* these entries and no others are the state on disk */
};

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
    size_t marked_entries; /* at the mark */

    uint8_t *scratch; /* of the record made last */
    size_t visited;   /* by the last recovery */
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
 * disk in slot 0. */
int world_sync(struct world *world);
/* Write, mark, write, sync: all must succeed. */
void world_checkpoint(struct world *world);

const struct world_manifest *world_manifest(const struct world *world);

/* Every PUT among the entries can be read by its place. */
void world_check_reads(struct world *world);

/* A path below WORLD_DIR; valid for the next three calls of the same thread. */
const char *world_path(const char *name);
/* "<id>.log". */
const char *world_file(uint32_t id);

#endif
