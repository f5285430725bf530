/* SPDX-License-Identifier: Apache-2.0 */
/* tmpdir: a folder of a test's own on a real filesystem. */
#ifndef SUPPORT_TMPDIR_H
#define SUPPORT_TMPDIR_H

#include <stddef.h>

struct tmpdir {
    char path[256];
};

/* Made below $TMPDIR, or /tmp. Ends the test program where that fails. */
void tmpdir_make(struct tmpdir *dir);

/* Removes it with all that it holds. */
void tmpdir_remove(struct tmpdir *dir);

struct tmpdir_path {
    char text[512];
};

/* "<dir>/<name>". */
struct tmpdir_path tmpdir_join(const struct tmpdir *dir, const char *name);

#endif
