/* SPDX-License-Identifier: Apache-2.0 */
/* seglog: the group's log on disk: preallocated segments of aligned, checksummed frames.
 *
 * Every frame carries a sequence number, ascending by one through all segments, and says up to
 * which frame the log was contiguously durable when it was built. A frame counts as durable only
 * when all before it are (R10). Recovery cuts a torn tail that no later frame vouches for, and
 * refuses anything else that does not check (P5). After every start, and after every cut, the log
 * goes on in a new segment with a new epoch (R11).
 *
 * Units:    bytes; an index starts at 1; 0 means none.
 * Threads:  one owner, the log loop. seglog_prep_run() on any thread; a reader on any one thread.
 * Failure:  the first failed write ends the log for this process: nothing submitted becomes durable
 *           afterwards, nothing more is taken, no sync is tried again (R30).
 * Formats and invariants S1-S9: seglog/README.md.
 */
#ifndef SEGLOG_SEGLOG_H
#define SEGLOG_SEGLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "os/os.h"
#include "seglog/frame.h"

struct seglog;

/* The log's own small frames that may be with the disk beside max_in_flight: together the depth
 * that the aio must have. */
#define SEGLOG_OWN_IN_FLIGHT 4

/* The most bytes of a configuration. */
#define SEGLOG_CONFIGURATION_MAX (32U << 10)

/* Recovery progress: bytes scanned of the bytes there are. */
typedef void (*seglog_progress_fn)(void *ctx, uint64_t done_bytes, uint64_t total_bytes);

struct seglog_options {
    struct os os;
    struct aio *aio; /* outlives the log; used by nobody else; depth as above */
    const char *dir; /* made if missing */
    uint64_t group_id;
    uint32_t segment_size;     /* power of two, 256 KiB .. 1 GiB */
    unsigned max_in_flight;    /* ENTRIES frames; the log's own small frames come on top */
    unsigned max_spare;        /* recycled segments kept for use, at least 1 */
    uint64_t checkpoint_index; /* the manifest's: entries up to it are in the data files */
    uint64_t checkpoint_term;
    bool must_be_empty; /* refuse to start if any valid frame is found: there is no manifest (R1) */
    /* Where there is no log it begins behind the checkpoint, in that one's term, without a vote. */
    bool may_begin;
    seglog_progress_fn on_progress; /* may be NULL */
    void *ctx;
};

/* What recovery found. */
struct seglog_found {
    uint64_t term;
    uint64_t vote;
    uint64_t first_index; /* oldest entry still there, last_index + 1 if none */
    uint64_t last_index;  /* checkpoint_index if nothing is newer */
    uint64_t last_term;
    uint64_t configuration_index;
    struct slice configuration; /* newest OPEN's, until close */
    uint64_t newest_change;     /* no entry above it is a CHANGE; 0: none is */
    uint64_t cut_frames;        /* of a torn tail */
    uint64_t cut_bytes;
};

/* Opens and recovers. What it reports has been made durable. ERR_CORRUPT names file, offset and
 * indices in diag (also when the log does not reach the checkpoint, or is gone though there was
 * one); ERR_MISMATCH: another group's log; ERR_VERSION; ERR_EXISTS: must_be_empty and it is not.
 * -ENOSPC: no room for a segment. After an error nothing is lost that was there before. On success
 * at least one segment is ready; nothing is written to it before the first frame is put. */
MUST_CHECK
int seglog_open(const struct seglog_options *options, struct seglog **out_log,
                struct seglog_found *out_found, struct diag *diag);

/* Nothing may be in flight, unless the log has failed: then waits until the disk has given it back.
 * No preparation may be under way. Readers may outlive the log. NULL is a no-op. */
void seglog_close(struct seglog *log);

/* ---- Writing ---- */

/* True while another ENTRIES frame may be put in flight: fewer than max_in_flight are not durable.
 */
bool seglog_has_slot(const struct seglog *log);

/* Can an ENTRIES frame of `size` bytes (as frame->size) be appended now? 0; ERR_AGAIN: a segment
 * must be prepared; -ENOSPC, -EIO: preparing one has failed, and is tried again with the next prep;
 * ERR_TOO_BIG: never; ERR_LOG_FAILED. After 0 the next append of that size cannot meet ENOSPC. */
MUST_CHECK
int seglog_admit(const struct seglog *log, size_t size);

/* Will an ENTRIES frame of `size` bytes leave less than a quarter of the last segment? */
bool seglog_is_running_out(const struct seglog *log, size_t size);

/* The largest frame->size that is ever admitted: half a segment. */
size_t seglog_max_frame(const struct seglog *log);

/* Puts a frame of entries in flight: first_index, term and entry_count are set by the caller, must
 * follow the last appended index, and seglog_admit() has said 0 in this turn. Takes a reference. If
 * the log has failed since, the frame comes back from seglog_next_lost(). */
void seglog_append(struct seglog *log, struct frame *frame);

/* Puts term and vote / a truncation to `last_index` in flight. Return the frame's sequence: it
 * counts when seglog_durable_sequence() has reached it. They have room in a reserve (at least 8
 * frames, 1,024 at 64 MiB) when no segment is ready; once that is used up the log fails with
 * -ENOSPC. UINT64_MAX if the log has failed. A truncation goes not below the checkpoint. */
uint64_t seglog_put_hard_state(struct seglog *log, uint64_t term, uint64_t vote);
uint64_t seglog_truncate(struct seglog *log, uint64_t last_index);

/* What the next OPEN frames say, at most SEGLOG_CONFIGURATION_MAX bytes. Copied. */
void seglog_set_configuration(struct seglog *log, uint64_t index, struct slice configuration);

/* An empty frame that vouches for the last one, if that is durable and has not been vouched for.
 * Behind a segment full to the brim it is the next one's OPEN, which is to be vouched for again. */
void seglog_vouch(struct seglog *log);
bool seglog_needs_vouch(const struct seglog *log);

/* Starts what was put in flight: one system call. Call once a turn, behind seglog_poll(), which may
 * put what had to wait. */
void seglog_flush(struct seglog *log);

/* Takes completions in. Returns 0, or the error with which the log failed (the same ever after). */
MUST_CHECK
int seglog_poll(struct seglog *log);

/* The next ENTRIES frame that has become durable, in order; the caller drops its reference. NULL:
 * none. It comes also if entries of it have been truncated meanwhile: seglog_durable_index() tells.
 * After a failure the frames that are lost to us come from seglog_next_lost(), in order, each when
 * the disk has given it back. */
struct frame *seglog_next_durable(struct seglog *log);
struct frame *seglog_next_lost(struct seglog *log);

uint64_t seglog_durable_sequence(const struct seglog *log);
/* Entries up to here are in the log and durable; a truncation lowers it when it is put. */
uint64_t seglog_durable_index(const struct seglog *log);
uint64_t seglog_last_index(const struct seglog *log); /* appended */

/* To be polled for completions, or -1. */
int seglog_fd(const struct seglog *log);
/* Frames of all kinds put and not come back from the disk. */
unsigned seglog_in_flight(const struct seglog *log);

/* ---- Segments ---- */

struct seglog_prep;

/* Work to be done elsewhere: preparing the next segment, removing spare ones. NULL: nothing, or one
 * is under way, or the log has failed. After a preparation that failed there is work at once: how
 * soon to try again is the caller's business. */
struct seglog_prep *seglog_prep_take(struct seglog *log);
/* Thread: any. */
void seglog_prep_run(struct seglog_prep *prep);
/* Thread: the owner's. Frees `prep`. Returns how the preparation went. */
MUST_CHECK
int seglog_prep_done(struct seglog *log, struct seglog_prep *prep);

/* Spare segments above so many, at least 1, are removed by the next preparation. */
void seglog_set_max_spare(struct seglog *log, unsigned max_spare);

/* The state up to `index` is durable elsewhere: segments that hold nothing newer become spare, as
 * soon as the next one has durably begun. */
void seglog_recycle(struct seglog *log, uint64_t index);

/* ---- Reading ---- */

/* The term of an entry from the checkpoint's index on, perhaps also of older ones; 0 if it is not
 * there. */
uint64_t seglog_term(const struct seglog *log, uint64_t index);

struct seglog_reader;

/* Reads durable entries from `from_index` on as they were when it was opened; none if they end
 * before. Verifies what it reads. ERR_NOT_FOUND: recycled already. */
MUST_CHECK
int seglog_reader_open(struct seglog *log, uint64_t from_index, struct seglog_reader **out_reader);

/* The next frame's worth of entries. 0 and a new frame reference; ERR_NOT_FOUND at the end;
 * ERR_CORRUPT with diag. After an error it stands where it stood. The frame may begin before
 * from_index. Blocks on the disk. */
MUST_CHECK
int seglog_reader_next(struct seglog_reader *reader, struct frame **out_frame, struct diag *diag);
void seglog_reader_close(struct seglog_reader *reader);

struct seglog_stats {
    uint64_t entries_frames; /* durable writes of ENTRIES frames */
    uint64_t other_frames;
    uint64_t bytes;
    uint64_t segments_prepared;
    uint64_t segments_recycled;
    uint64_t segment_count; /* in use */
    uint64_t spare_count;
    uint64_t ready_count; /* beside the active one */
    /* From the oldest needed segment to the end, closed ones whole: the log budget's measure. */
    uint64_t live_bytes;
};
struct seglog_stats seglog_stats(const struct seglog *log);

#endif
