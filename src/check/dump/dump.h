/* SPDX-License-Identifier: Apache-2.0 */
/* dump: what single files hold, a line for each thing in them. */
#ifndef CHECK_DUMP_DUMP_H
#define CHECK_DUMP_DUMP_H

#include "check/folder.h"
#include "check/print.h"

struct dump {
    struct fs *fs;
    const struct folder *folder; /* NULL: the file lies alone, and its own header is believed */
    struct command_table *table;
    struct printer printer;
    uint64_t damage_count;
};

/* Each prints the file, damage as lines of kind "damage". */
MUST_CHECK
int dump_manifest(struct dump *dump, const char *path, struct diag *diag);
MUST_CHECK
int dump_data_file(struct dump *dump, const char *path, const struct bitcask_named *named,
                   struct diag *diag);
/* Of the file that the manifest names, else of that which its own header names. */
MUST_CHECK
int dump_hint(struct dump *dump, const char *path, const struct bitcask_named *named,
              uint32_t shard, struct diag *diag);
MUST_CHECK
int dump_segment(struct dump *dump, const char *path, struct diag *diag);

/* What hints and data files say of a record, of the line that has been begun. */
void dump_record_fields(struct printer *printer, const struct record *record);

/* A line of kind "damage". */
void dump_damage(struct dump *dump, uint64_t off, uint64_t end, const char *what);

#endif
