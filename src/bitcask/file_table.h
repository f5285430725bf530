/* SPDX-License-Identifier: Apache-2.0 */
/* file_table: file id -> file, for readers without locks: a sorted array that never changes. A
 * change makes a new one; the old one is freed when no reader can hold it.
 *
 * Lifetime: a table holds no references of its own. The files' references move with the newest
 *           table of a bitcask; they are given up when a file is dropped, behind the same grace
 *           period as the last table that names it.
 */
#ifndef BITCASK_FILE_TABLE_H
#define BITCASK_FILE_TABLE_H

#include "bitcask/datafile.h"

struct file_entry {
    uint32_t id;
    struct datafile *df;
};

struct file_table {
    size_t count;
    struct file_entry entries[]; /* ascending id */
};

struct file_table *file_table_new(size_t count);

/* A copy with `df` in its place; no file of that id may be in it. */
struct file_table *file_table_with(const struct file_table *table, struct datafile *df);

/* A copy without the file of that id, which must be in it. */
struct file_table *file_table_without(const struct file_table *table, uint32_t id);

/* The file, or NULL. Thread: any. */
struct datafile *file_table_find(const struct file_table *table, uint32_t id);

/* What a table holds of the allocator. */
size_t file_table_bytes(const struct file_table *table);

#endif
