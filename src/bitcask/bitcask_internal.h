/* SPDX-License-Identifier: Apache-2.0 */
/* bitcask, the inside: what bitcask.c (files and appends), write.c (chunks and the write job),
 * mark.c (marks and the sync job) and recover.c (the way to open) share. */
#ifndef BITCASK_BITCASK_INTERNAL_H
#define BITCASK_BITCASK_INTERNAL_H

#include "base/list.h"
#include "bitcask/bitcask.h"
#include "bitcask/file_table.h"
#include "bitcask/upkeep.h"

/* A piece of one file, collected until written by one call. The header of a new file is the front
 * of its first chunk. */
struct chunk {
    struct list_node node;
    struct datafile *df; /* held by the table */
    uint64_t off;        /* of the first byte, in the file */
    size_t done;         /* bytes that have reached the file */
    bool is_closed;      /* takes no more records */
    struct buf bytes;
};

/* Collected bytes, oldest first. */
struct chunk_queue {
    struct list_node chunks;
    size_t bytes; /* of these and of those that are being written */
    struct chunk *spare;
};

struct bitcask_write {
    struct fs *fs;
    struct list_node chunks; /* empty: the job is not out */
    int result;
    const struct chunk *failed; /* where it stopped */
};

/* A file with bytes below the mark that no sync has covered. */
struct mark_file {
    struct datafile *df; /* a reference */
    uint64_t length;     /* at the mark */
};

struct bitcask_sync {
    struct fs *fs;
    const char *dir;
    struct mark_file *files;
    size_t file_count;
    bool needs_dir;
    int result;
    const char *failed; /* path of what could not be synced */
};

enum mark_state {
    MARK_NONE,   /* none is set, or its sync is done */
    MARK_SET,    /* waits for its bytes, then for sync_take */
    MARK_SYNCING /* the job is out */
};

struct mark {
    enum mark_state state;
    struct bitcask_named *named; /* all files as of the mark */
    size_t named_count;
    struct bitcask_sync sync;
    int failure;        /* of a sync: sticky (B8) */
    const char *failed; /* path of what it was */
};

/* A file that a merge has replaced: see upkeep.c. */
struct retired_file {
    struct list_node node;
    struct datafile *df; /* a reference; NULL once it has been removed */
    uint64_t bytes;
};

struct retired_files {
    struct list_node waiting;
    struct list_node marked;
    struct list_node free;
    uint64_t bytes; /* of all, and of those that are being removed */
};

struct bitcask_hint {
    struct fs *fs;
    struct datafile *df; /* a reference; NULL: the job is not out */
    uint64_t covered;
    int result;
    struct diag diag;
};

struct bitcask_unlink {
    struct fs *fs;
    const char *dir;
    struct list_node files; /* empty: the job is not out */
    struct diag diag;       /* of the first that could not be removed */
};

struct bitcask {
    struct os os;
    struct epoch_bag *bag; /* of old tables, and of what only they still name */
    char *dir;
    uint32_t shard;
    uint32_t next_id;
    uint64_t max_file_size;
    _Atomic(struct file_table *) table;
    struct datafile *current; /* takes the records; NULL: the next one starts a file */
    struct chunk_queue queue;
    struct bitcask_write write;
    struct mark mark;
    struct retired_files retired;
    struct bitcask_hint hint;
    struct bitcask_unlink unlink;
    bool is_dirty;
    struct bitcask_stats stats;
};

/* An instance without files. */
struct bitcask *bitcask_new(const struct bitcask_options *options);

/* The table as the owner sees it. */
const struct file_table *bitcask_table(const struct bitcask *bc);

/* Publishes a table with `df` added, whose reference it takes, and retires the old one. */
void bitcask_add_file(struct bitcask *bc, struct datafile *df);
/* Publishes a table without `df`, and gives its reference up when no reader can hold it. */
void bitcask_remove_file(struct bitcask *bc, struct datafile *df);

/* An empty file with the next id, in no table yet. */
struct datafile *bitcask_new_file(struct bitcask *bc);

typedef bool (*bitcask_file_fn)(const struct bitcask *bc, const struct datafile *df,
                                const void *ctx);
/* Of a record in any file that is not left out; UINT64_MAX: there is none. */
uint64_t bitcask_lowest_index(const struct bitcask *bc, bitcask_file_fn is_left_out,
                              const void *ctx);

/* Takes a file out of the table and of what is named from the next mark on; its names go when that
 * is durable (R2). */
void bitcask_retire_file(struct bitcask *bc, struct datafile *df);
/* The mark that is being set will not name what has been retired. */
void bitcask_mark_retired(struct bitcask *bc);
void bitcask_retired_init(struct bitcask *bc);
void bitcask_retired_fini(struct bitcask *bc);

/* Frees tables that no reader can hold any more. */
void bitcask_collect(struct bitcask *bc);

/* Pads the current file to a block. */
void bitcask_pad(struct bitcask *bc);
/* Seals it; the next record starts another. */
void bitcask_end_current(struct bitcask *bc);

/* Is there room for another record, and the PAD behind it, in a file that ends at `off`? */
static inline bool bitcask_has_room(const struct bitcask *bc, uint64_t off, size_t size)
{
    return off + size + record_pad_size(off + size) <= bc->max_file_size;
}

void chunk_queue_init(struct chunk_queue *queue);
void chunk_queue_fini(struct chunk_queue *queue);

/* A chunk that takes `size` more bytes at the end of `df`. */
struct chunk *chunk_queue_tail(struct chunk_queue *queue, struct datafile *df, size_t size);

/* The next record starts a chunk. */
void chunk_queue_close_tail(struct chunk_queue *queue);

/* Gives up memory kept for the next chunk. */
void chunk_queue_trim(struct chunk_queue *queue);

/* No mark will succeed any more (B8). */
void bitcask_note_failed_sync(struct bitcask *bc, int error, const char *path, struct diag *diag);
/* Notes all files as they are now as what a manifest may name. */
void mark_note_files(struct bitcask *bc);
void mark_fini(struct mark *mark);

#endif
