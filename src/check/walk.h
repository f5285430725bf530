/* SPDX-License-Identifier: Apache-2.0 */
/* walk: the records of a data file one after the other, over damage, too.
 *
 * Behind a record that does not check, the walk goes on where the next one does: every byte is
 * tried as a beginning, and the record's own check, which knows file and offset, vouches for it.
 */
#ifndef CHECK_WALK_H
#define CHECK_WALK_H

#include "base/diag.h"
#include "bitcask/record.h"
#include "check/window.h"
#include "store/manifest.h"

/* What every record of a directory must fit. */
struct walk_rules {
    const struct manifest *manifest; /* NULL: none is known */
    uint32_t shard;
};

/* NULL, or what a start would not take of a record that checks. */
const char *walk_judge(const struct walk_rules *rules, const struct record *record);

struct walk {
    struct walk_rules rules;
    const char *path; /* borrowed; for messages */
    uint64_t uid;
    uint64_t end; /* of what is named and there */
    uint64_t off;
    uint64_t hashed_bytes; /* while looking for the next record */
    struct window window;
};

struct walk_item {
    bool is_damage;
    uint64_t off;
    uint64_t end;
    const char *wrong;    /* the record checks and yet is none that could be here; or NULL */
    struct record record; /* unless it is damage; PADs, too; valid until the next call */
    struct slice bytes;   /* of the record */
};

/* From the first record to `end`. `file` and `path` are borrowed. */
void walk_init(struct walk *walk, struct file *file, const char *path, uint64_t uid, uint64_t end);
void walk_fini(struct walk *walk);

/* 0; ERR_NOT_FOUND at the end; -ENOMEM and others with diag. */
MUST_CHECK
int walk_next(struct walk *walk, struct walk_item *out_item, struct diag *diag);

/* The record that begins at `off`: 0, ERR_CORRUPT, or as above. Does not move the walk. */
MUST_CHECK
int walk_record_at(struct walk *walk, uint64_t off, struct record *out_record, size_t *out_size,
                   struct diag *diag);

/* What may have begun at `off`, by its bytes alone. False if nothing can have. */
MUST_CHECK
bool walk_claim_at(struct walk *walk, uint64_t off, struct record *out_record);

#endif
