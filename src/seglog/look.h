/* SPDX-License-Identifier: Apache-2.0 */
/* look: a log judged and read as it lies on the disk, for tools: nothing is changed.
 *
 * Whoever calls must see to it that nobody writes to the log meanwhile.
 *
 * Units:   bytes; offsets from the start of a segment's file.
 * Threads: any; blocks on the disk.
 */
#ifndef SEGLOG_LOOK_H
#define SEGLOG_LOOK_H

#include "base/diag.h"
#include "os/fs.h"
#include "seglog/frame.h"

/* Where the first frame of a segment lies. */
#define SEGLOG_FIRST_FRAME 4096

/* A whole frame. What it points to is valid within the call. */
struct seglog_seen {
    uint64_t segment; /* number of the file */
    uint64_t epoch;
    uint64_t off;
    uint32_t size; /* header included */
    uint32_t room; /* size and padding */
    enum frame_kind kind;
    uint32_t count; /* entries */
    uint32_t nth;   /* of its segment's frames */
    uint64_t sequence;
    uint64_t durable;     /* up to this sequence it vouches */
    uint64_t first_index; /* of the first entry, or that the next entry will have */
    uint64_t term;
    const uint8_t *data; /* size bytes */
    bool is_padding_clean;
};

/* A non-zero result ends the walk and is returned. */
typedef int (*seglog_visit_fn)(void *ctx, const struct seglog_seen *seen);

/* The next entry of an ENTRIES frame; `*at` and `nth` as for frame_next_entry(). */
bool seglog_next_entry(const struct seglog_seen *seen, size_t *at, uint32_t nth,
                       struct log_entry *out_entry);

struct seglog_hard_state {
    uint64_t term;
    uint64_t vote;
};
/* Of an OPEN or a HARDSTATE frame. */
struct seglog_hard_state seglog_hard_state_of(const struct seglog_seen *seen);

/* ---- The whole log, judged as a start would ---- */

enum seglog_damage {
    SEGLOG_SOUND = 0,
    SEGLOG_DAMAGED_HEADER, /* the file is no segment any more, or another one */
    SEGLOG_DAMAGED_FRAME,  /* at `off` lies no frame that continues the log, and one must */
    SEGLOG_DAMAGED_REACH,  /* what is there does not join the checkpoint; `number` may be 0 */
    SEGLOG_DAMAGED_PADDING /* of the frame at `off`, which itself is whole */
};

struct seglog_blame {
    enum seglog_damage damage;
    uint64_t number; /* of the segment */
    uint64_t off;
};

struct seglog_look_options {
    struct fs *fs;
    const char *dir;
    uint64_t group_id;
    uint64_t checkpoint_index;
    uint64_t checkpoint_term;
    bool may_begin; /* as for seglog_open() */
    void (*on_progress)(void *ctx, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
    void *progress_ctx;
};

struct seglog_judged {
    bool has_start;        /* a segment from which the log could be read */
    uint64_t start_number; /* of that segment; what is older is not needed */
    uint64_t stop_number;  /* up to where frames follow each other */
    uint64_t stop_off;
    uint64_t sequence;   /* of the last frame before the stop */
    uint64_t last_index; /* of the last entry before the stop */
    uint64_t last_term;
    struct seglog_hard_state hard_state; /* as of the stop */
    uint64_t cut_frames;                 /* of a torn tail that a start would cut */
    uint64_t cut_bytes;
    struct seglog_blame blame; /* of ERR_CORRUPT */
};

/* What seglog_open() would say: 0, ERR_CORRUPT, ERR_MISMATCH, ERR_VERSION, or what a read said,
 * with diag. `visit` sees each frame that counts, in order, up to the stop. *out_judged is filled
 * as far as the judgement came, after an error too. */
MUST_CHECK
int seglog_judge(const struct seglog_look_options *options, seglog_visit_fn visit, void *ctx,
                 struct seglog_judged *out_judged, struct diag *diag);

/* ---- One file ---- */

/* Is it the name of a segment, or of one that is being prepared? */
bool seglog_parse_name(const char *name, uint64_t *out_number, bool *out_is_temporary);

/* "<dir>/<name>", to be freed. */
char *seglog_path(const char *dir, uint64_t number);

/* Is it a segment, by the first bytes of a file alone? */
bool seglog_is_segment(struct slice bytes);

struct seglog_segment {
    uint64_t number;
    uint64_t group_id;
    uint64_t epoch;
    uint32_t size; /* that it should have */
    uint64_t file_size;
    bool is_header_sound; /* else the fields above but file_size are 0 */
};

/* Visits every whole frame of the file's present use, wherever it begins; of whatever use where the
 * header is damaged. Frames that make no sense are passed over. ERR_VERSION, or what a read said;
 * a damaged file is no error. `visit` may be NULL: then only the header is read. */
MUST_CHECK
int seglog_walk(struct fs *fs, const char *path, seglog_visit_fn visit, void *ctx,
                struct seglog_segment *out_segment, struct diag *diag);

#endif
