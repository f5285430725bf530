/* SPDX-License-Identifier: Apache-2.0 */
/* check: looks into a data directory that no server uses: verify, dump, stats, repair.
 *
 * Everything is read with the decoders that a start uses, and judged as a start would. Only repair
 * changes anything on the disk, and nothing goes that has no copy in the quarantine.
 *
 * Threads: one; blocks on the disk.
 * See check/README.md, invariants V1-V8.
 */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/slice.h"
#include "os/os.h"

/* Exit codes of the program. */
enum check_status {
    CHECK_SOUND = 0,
    CHECK_DAMAGED = 1, /* verify: damage was found; repair: there is some left */
    CHECK_FAILED = 2   /* nothing can be said: usage, in use, another version, not readable */
};

/* Whoever runs the tool. Callbacks may be NULL but for `write`. */
struct check_io {
    /* A result, whole lines. */
    void (*write)(void *ctx, struct slice text);
    /* How far the work called `what` is; the last call of one has done == total. */
    void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t total);
    /* NULL, or no: nothing is changed. */
    bool (*confirm)(void *ctx, const char *question);
    void *ctx;
};

struct check_options {
    struct os os;
    const char *dir; /* dump: or a file of one */
    struct check_io io;
    unsigned lock_wait_ms; /* a server that was killed holds its directory for a moment */
    bool is_json;          /* dump, stats */
    bool is_full;          /* dump: values of any length */
};

/* Each returns an enum check_status; CHECK_FAILED with diag. */
MUST_CHECK
int check_verify(const struct check_options *options, struct diag *diag);
MUST_CHECK
int check_dump(const struct check_options *options, struct diag *diag);
MUST_CHECK
int check_stats(const struct check_options *options, struct diag *diag);
MUST_CHECK
int check_repair(const struct check_options *options, struct diag *diag);

/* ---- The command line ---- */

enum check_verb { CHECK_HELP, CHECK_VERSION, CHECK_VERIFY, CHECK_DUMP, CHECK_REPAIR, CHECK_STATS };

struct check_request {
    enum check_verb verb;
    const char *path;
    bool is_json;
    bool is_full;
    bool is_yes; /* repair without asking */
};

/* ERR_INVALID with diag. */
MUST_CHECK
int check_parse(int argc, char **argv, struct check_request *out_request, struct diag *diag);
/* The text of --help or --version. */
void check_put_text(enum check_verb verb, struct buf *to);
/* Runs any other verb. `options` has machine and io; the request adds the rest. */
MUST_CHECK
int check_run(const struct check_request *request, const struct check_options *options,
              struct diag *diag);

#endif
