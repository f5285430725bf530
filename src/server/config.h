/* SPDX-License-Identifier: Apache-2.0 */
/* config: every directive is one row: name, kind, bounds, default, doc.
 *
 * The same rows read the command line, the file, CONFIG GET and CONFIG SET. Values are kept as
 * numbers and texts in one array, by the row's number; the names below are those numbers.
 *
 * Threads: built at the start by one thread; afterwards only CONFIG changes it, under its lock.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/slice.h"
#include "os/thread.h"
#include "server/config_id.h"

#define CONFIG_MAX_PERCENTILES 64
#define CONFIG_MAX_FILE        (16u * 1024 * 1024)

enum config_kind {
    CONFIG_NUMBER,
    CONFIG_SIGNED, /* bounds and value are those of an int64_t */
    CONFIG_OCTAL,
    CONFIG_BYTES,
    CONFIG_PERCENT, /* bytes, or "n%", kept as -n */
    CONFIG_BOOL,
    CONFIG_CHOICE,
    CONFIG_TEXT
};

struct config_row {
    const char *name;
    const char *alias; /* its old name, or NULL */
    enum config_kind kind;
    bool is_live;    /* CONFIG SET may change it */
    bool takes_many; /* its arguments are joined with blanks */
    bool is_hidden;  /* CONFIG GET finds it by its name alone */
    bool is_fixed;   /* only the default is taken */
    uint64_t min;
    uint64_t max;
    const char *initial;
    const char *choices; /* separated by ", "; a number counts from the first */
    int (*check)(const struct slice *args, size_t count, struct diag *diag); /* more, or NULL */
    const char *doc; /* of what is only remembered: NULL */
};

struct config_value {
    uint64_t number;
    struct buf text;
};

struct config {
    struct lock lock;
    struct lock rewriting; /* the file: one at a time; taken before the other */
    struct config_value values[CONFIG_ROWS];
    bool is_given[CONFIG_ROWS]; /* by file or command line */
    struct buf remarks;         /* for the log, one a line: what was taken differently */
    char *path;                 /* of the file, or NULL */
    bool is_check;              /* --check-config: to be checked, and not served */
    struct buf renames;         /* of commands: old name, new name, each with a zero behind it */
};

enum supervised { SUPERVISED_NO, SUPERVISED_SYSTEMD, SUPERVISED_AUTO };

/* All at their defaults. */
struct config *config_new(void);
void config_free(struct config *config);

/* `id` goes up to CONFIG_ROWS. */
const struct config_row *config_row(enum config_id id);
/* config/known.c: the nth of those that are only remembered. */
const struct config_row *config_known(size_t nth);

/* The row of a name (aliases too), or NULL. */
const struct config_row *config_find(struct slice name, enum config_id *out_id);

/* The arguments that a value given as one text stands for; returns how many. */
#define CONFIG_MAX_WORDS 16
size_t config_words(const struct config_row *row, struct slice value,
                    struct slice words[CONFIG_MAX_WORDS]);

/* Sets one directive. ERR_NOT_FOUND, ERR_INVALID with diag ("argument must be ..."). */
MUST_CHECK
int config_set(struct config *config, enum config_id id, const struct slice *args, size_t count,
               struct diag *diag);

/* Would the arguments do? Changes nothing. */
MUST_CHECK
int config_check(enum config_id id, const struct slice *args, size_t count, struct diag *diag);

/* Notes what the user may have meant differently by the value that the directive has now. */
void config_remark(struct config *config, enum config_id id);

/* Is it the value that the directive has, as CONFIG GET shows it? */
bool config_is_now(const struct config *config, enum config_id id, struct slice value);

/* The value as CONFIG GET shows it, appended. */
void config_format(const struct config *config, enum config_id id, struct buf *to);

/* Reads a file in Redis's format: a directive a line, '#' begins a comment, values may be quoted.
 * diag names file and line. */
MUST_CHECK
int config_load_file(struct config *config, const char *path, struct diag *diag);
MUST_CHECK
int config_read_file(const char *path, struct buf *to, struct diag *diag);
MUST_CHECK
int config_load_text(struct config *config, struct slice text, const char *origin,
                     struct diag *diag);

/* The row that a line of a file is about; false if it is empty, a comment or unknown. */
MUST_CHECK
bool config_line_id(struct slice line, enum config_id *out_id);

/* The directive as a line of a file, appended. */
void config_put_line(const struct config *config, enum config_id id, struct buf *to);

/* The file's text with every directive as it is now: a line whose value has changed is replaced,
 * what neither it nor a file that it includes says comes at the end, all else stays (CONFIG
 * REWRITE). An error if the next start could not read it. */
MUST_CHECK
int config_rewrite_text(const struct config *config, struct slice old, struct buf *to,
                        struct diag *diag);

/* Rewrites the file the server was started with, in one step. Takes the lock for a moment. Thread:
 * one that may wait for a disk. */
MUST_CHECK
int config_rewrite_file(struct config *config, struct diag *diag);

/* The next of `renames`, taken off `rest`; false at the end. Both are zero-terminated. */
MUST_CHECK
bool config_next_rename(struct slice *rest, struct slice *out_from, struct slice *out_to);

/* What --help says: the command line, and every directive with its default. Appended. */
void config_put_usage(struct buf *to);

/* [file] [--directive value ...]; a file called "-" is the standard input. --check-config may stand
 * in front, or where a directive may. To be called once. */
MUST_CHECK
int config_load_args(struct config *config, int argc, char **argv, struct diag *diag);

static inline uint64_t config_number(const struct config *config, enum config_id id)
{
    return config->values[id].number;
}

static inline int64_t config_signed(const struct config *config, enum config_id id)
{
    return (int64_t)config->values[id].number;
}

/* Those of latency-tracking-info-percentiles; returns how many. */
size_t config_percentiles(const struct config *config,
                          double out_percentiles[CONFIG_MAX_PERCENTILES]);

/* Zero-terminated. */
const char *config_text(const struct config *config, enum config_id id);

#endif
