/* SPDX-License-Identifier: Apache-2.0 */
/* folder: a data directory that is looked at: its lock, its manifest, the names in it. */
#ifndef CHECK_FOLDER_H
#define CHECK_FOLDER_H

#include "check/check.h"
#include "command/command.h"
#include "store/manifest.h"

struct folder {
    struct fs *fs;
    const char *dir;   /* borrowed */
    struct file *lock; /* NULL: there is no lock file, so nobody holds it */
    struct manifest manifest;
    bool has_manifest;
    struct diag manifest_wrong; /* why it has none; empty: there is no such file */
    struct command_table *table;
};

enum folder_use { FOLDER_LOOK, FOLDER_CHANGE };

/* Takes the lock and reads the manifest. A manifest that is damaged or missing is for the caller to
 * judge; ERR_BUSY, ERR_VERSION, ERR_NOT_FOUND (no data directory), with diag. FOLDER_LOOK makes no
 * file, not even the lock (V1). */
MUST_CHECK
int folder_open(struct folder *folder, const struct check_options *options, enum folder_use use,
                struct diag *diag);
void folder_close(struct folder *folder);

/* Paths are the caller's (mem_free). */
char *path_format(const char *format, ...) PRINTF_LIKE(1, 2);
char *folder_shard_path(const struct folder *folder, uint32_t shard);
char *folder_log_path(const struct folder *folder);

/* Names of a folder in order, each with its zero; none if the folder is not there. */
struct names {
    char **items;
    size_t count;
    size_t cap;
};
MUST_CHECK
int names_read(struct fs *fs, const char *path, struct names *out_names, struct diag *diag);
void names_fini(struct names *names);

enum data_name { DATA_OTHER, DATA_LOG, DATA_HINT, DATA_HINT_TMP };
/* What a name in a shard's folder is, and of which file id. */
enum data_name data_name_parse(const char *name, uint32_t *out_id);
char *data_path(const char *dir, uint32_t id, enum data_name kind);

/* The manifest's file of a shard; NULL if it names none with this id. */
const struct bitcask_named *folder_named(const struct folder *folder, uint32_t shard, uint32_t id);

#endif
