/* SPDX-License-Identifier: Apache-2.0 */
/* What survey.c finds, replay.c reads and judge.c judges, for recover.c. */
#ifndef SEGLOG_RECOVER_INTERNAL_H
#define SEGLOG_RECOVER_INTERNAL_H

#include "base/diag.h"
#include "seglog/look.h"
#include "seglog/scan_internal.h"
#include "seglog/seglog_internal.h"

enum found_state {
    FOUND_BAD_SIZE = 1, /* no segment ever had this size under its final name */
    FOUND_BAD_HEADER,
    FOUND_UNUSED, /* prepared; no whole OPEN frame */
    FOUND_IN_USE
};

/* A file of the directory that bears a segment's name. */
struct found_file {
    uint64_t number;
    char *path;
    struct file *file;
    uint64_t file_size;
    enum found_state state;
    bool is_void; /* a newer life of the log goes on before where this one begins (S5) */
    bool is_adopted;
    struct segment_header header;
    struct frame_header open; /* if in use */
    uint64_t end_sequence;    /* here the next one that counts goes on */
};

struct found_files {
    struct found_file *items; /* by number */
    size_t count;
    size_t cap;
    uint64_t next_number;
    bool is_look_only; /* nothing is removed, and no file opened for writing */
    struct seglog_blame blame;
};

/* Notes what is found to be damaged, for whoever has to go on from there. */
static inline void survey_blame(struct found_files *files, enum seglog_damage damage,
                                const struct found_file *file, uint64_t off)
{
    files->blame = (struct seglog_blame){.damage = damage, .number = file->number, .off = off};
}

/* Lists the directory, removes temporary files, reads each header and first frame. ERR_MISMATCH,
 * ERR_VERSION, ERR_CORRUPT with diag. */
MUST_CHECK
int survey_read(const struct seglog_options *options, struct scan_window *window,
                struct found_files *out_files, struct diag *diag);
void survey_fini(struct found_files *files);

/* Position of the file at which the log as of `checkpoint_index` begins; count if there is none. */
size_t survey_find_start(const struct found_files *files, uint64_t checkpoint_index);

/* A frame that was accepted and that nothing vouches for yet. */
struct tail_frame {
    uint64_t sequence;
    size_t file_idx;
    uint64_t off;
    uint32_t size;
};

struct recovery {
    struct seglog *log;
    struct diag *diag;
    struct scan_window window;
    struct found_files files;
    seglog_visit_fn visit; /* of each frame that counts; may be NULL */
    void *visit_ctx;

    size_t start_idx; /* files.count: there is none */
    size_t stop_idx;
    uint64_t stop_off;
    uint64_t next_sequence;
    uint64_t vouched; /* the highest durable-up-to that a whole frame says */
    uint64_t newest_change;

    /* [head, end): frames above `vouched` as it was when they were replayed. */
    struct tail_frame *tail;
    size_t tail_head;
    size_t tail_end;
    size_t tail_cap;

    /* The first frame whose padding is not zero. */
    struct tail_frame unclean;
    uint64_t unclean_last_index;

    uint64_t cut_frames;
    uint64_t cut_bytes;
    bool is_torn;        /* there is the trace of a frame at the stop */
    bool is_rest_whole;  /* a whole frame stands behind the stop in the same file */
    size_t headless_idx; /* first file beyond with whole frames and no OPEN; or count */
    uint64_t told_bytes; /* of progress */
    uint64_t first_bytes;
    uint64_t total_bytes;
};

void recovery_tell_progress(struct recovery *r, bool is_end);

void recovery_fini(struct recovery *r);

/* Both fill diag and return the code. */
MUST_CHECK
int recovery_read_failed(struct recovery *r, const struct found_file *file, int rc);
MUST_CHECK
int recovery_nonsense(struct recovery *r, const struct found_file *file, uint64_t off,
                      const char *what);

/* Fills the log from the first frame that counts to the stop (replay.c). */
MUST_CHECK
int recovery_replay(struct recovery *r);

/* 0: what replay has found is all that ever counted (judge.c). */
MUST_CHECK
int recovery_judge(struct recovery *r);

/* 0: no valid frame is there. */
MUST_CHECK
int recovery_judge_empty(struct recovery *r);

#endif
