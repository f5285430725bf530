/* SPDX-License-Identifier: Apache-2.0 */
#include "support/tmpdir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

void tmpdir_make(struct tmpdir *dir)
{
    const char *parent = getenv("TMPDIR");
    int len = snprintf(dir->path, sizeof(dir->path), "%s/ferric-test-XXXXXX",
                       parent == NULL || parent[0] == '\0' ? "/tmp" : parent);
    ASSERT(len > 0 && (size_t)len < sizeof(dir->path));
    ASSERT(mkdtemp(dir->path) != NULL);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st;
    (void)kind;
    (void)place;
    return remove(path);
}

void tmpdir_remove(struct tmpdir *dir)
{
    ASSERT(nftw(dir->path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

struct tmpdir_path tmpdir_join(const struct tmpdir *dir, const char *name)
{
    struct tmpdir_path path;
    int len = snprintf(path.text, sizeof(path.text), "%s/%s", dir->path, name);
    ASSERT(len > 0 && (size_t)len < sizeof(path.text));
    return path;
}
