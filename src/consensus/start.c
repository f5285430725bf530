/* SPDX-License-Identifier: Apache-2.0 */
/* From what manifest and log say to a running core.
 *
 * The core wants its history in one event: term and vote, the checkpoint with its configuration,
 * and every entry above it with term and type, of which it keeps the terms alone. Payloads it looks
 * at only in CHANGE entries. So open reads the log for those, a frame at a time, as far as the log
 * has found that there are any; the event then carries bare terms for all others.
 *
 * Rule B: a node that is the only voter leads from the START event on, and in the term it is given.
 * So a new term with its own vote goes to the log first, and the event waits until that is durable.
 * A new group's first entry goes the same way: it exists before anything is built on it.
 */
#include "consensus/consensus_internal.h"

#include <errno.h>

#include "base/assert.h"
#include "base/err.h"
#include "base/mem.h"

#define LIBRAFT_VERSION 2201

/* The state's files travel apart and may take their time. */
#define INSTALL_TIMEOUT_MS 120000

/* All replicas of a group begin with this term. */
#define FIRST_TERM 1

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void init_core(struct consensus *c, const struct consensus_options *options)
{
    int rv = raft_init(&c->raft, NULL, NULL, options->self_id, options->address);
    ASSERT(rv == 0);
    c->raft.tracer = NULL;
    raft_seed(&c->raft, (unsigned)chance_u64(c->os.chance));
    raft_set_election_timeout(&c->raft, options->election_timeout_ms);
    raft_set_heartbeat_timeout(&c->raft, options->heartbeat_ms);
    raft_set_install_snapshot_timeout(&c->raft, INSTALL_TIMEOUT_MS);
    raft_set_pre_vote(&c->raft, true);
    raft_set_max_inflight_entries(&c->raft, INFLIGHT_ENTRIES_MAX);
}

static struct consensus *new_consensus(const struct consensus_options *options)
{
    struct consensus *c = mem_calloc(1, sizeof(*c));
    c->os = options->os;
    c->log = options->log;
    c->events = options->events;
    c->ctx = options->ctx;
    c->self_id = options->self_id;
    c->heartbeat_ms = options->heartbeat_ms;
    c->cache_bytes = options->cache_bytes;
    c->outbox = mem_calloc(OUTBOX_MAX, sizeof(*c->outbox));
    c->checkpoint = options->checkpoint_index;
    c->checkpoint_term = options->checkpoint_term;
    c->commit = options->checkpoint_index;
    c->delivery.next = options->checkpoint_index + 1;
    c->last_index = options->found->last_index;
    c->term = options->found->term;
    if (options->checkpoint_index > 0)
        change_set(&c->committed, options->configuration_index, options->configuration);
    core_set_time(c);
    init_core(c, options);
    return c;
}

/* What cannot be true of an intact log and manifest. */
static int check_found(const struct consensus_options *options, struct diag *diag)
{
    const struct seglog_found *found = options->found;
    struct configuration conf;
    if (found->last_index < options->checkpoint_index)
        return diag_set(diag, ERR_CORRUPT, "the log ends at entry %llu, before the checkpoint %llu",
                        (unsigned long long)found->last_index,
                        (unsigned long long)options->checkpoint_index);
    if (found->last_index > options->checkpoint_index &&
        found->first_index > options->checkpoint_index + 1)
        return diag_set(
            diag, ERR_CORRUPT, "the log begins at entry %llu, the checkpoint is at %llu",
            (unsigned long long)found->first_index, (unsigned long long)options->checkpoint_index);
    if (found->last_index > options->checkpoint_index && found->last_term > found->term)
        return diag_set(diag, ERR_CORRUPT, "the log's last entry is of term %llu, its node of %llu",
                        (unsigned long long)found->last_term, (unsigned long long)found->term);
    if (options->checkpoint_index > 0 && configuration_parse(options->configuration, &conf) != 0)
        return diag_set(diag, ERR_FORMAT, "the checkpoint's configuration of the group is invalid");
    return 0;
}

/* ---- Changes in the log ---- */

static void add_change(struct consensus *c, uint64_t index, struct slice configuration)
{
    c->changes = mem_realloc(c->changes, (c->change_count + 1) * sizeof(*c->changes));
    c->changes[c->change_count] = (struct change){0};
    change_set(&c->changes[c->change_count++], index, configuration);
}

static int scan_frame(struct consensus *c, const struct frame *frame, struct diag *diag)
{
    struct configuration conf;
    struct log_entry entry;
    size_t at = FRAME_HEADER_SIZE;
    for (uint32_t nth = 0; frame_next_entry(frame, &at, nth, &entry); nth++) {
        if (entry.type != ENTRY_CHANGE || entry.index <= c->checkpoint ||
            entry.term != seglog_term(c->log, entry.index))
            continue;
        if (configuration_parse(entry.payload, &conf) != 0)
            return diag_set(diag, ERR_CORRUPT, "entry %llu of the log is no valid configuration",
                            (unsigned long long)entry.index);
        add_change(c, entry.index, entry.payload);
    }
    return 0;
}

/* Reads on from the checkpoint as far as there are changes: `newest` is the last. */
static int read_changes(struct consensus *c, uint64_t newest, struct diag *diag)
{
    struct seglog_reader *reader;
    struct frame *frame;
    uint64_t read_index = 0;
    int rc = seglog_reader_open(c->log, c->checkpoint + 1, &reader);
    if (rc != 0)
        return diag_set(diag, rc, "the log cannot be read from entry %llu on: %s",
                        (unsigned long long)c->checkpoint + 1, err_text(rc));
    while (rc == 0 && read_index < newest) {
        rc = seglog_reader_next(reader, &frame, diag);
        if (rc != 0)
            break;
        rc = scan_frame(c, frame, diag);
        read_index = frame->first_index + frame->entry_count - 1;
        frame_unref(frame);
    }
    seglog_reader_close(reader);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int find_changes(struct consensus *c, uint64_t newest, struct diag *diag)
{
    if (c->last_index == c->checkpoint)
        return 0;
    int rc = newest > c->checkpoint ? read_changes(c, newest, diag) : 0;
    if (rc != 0)
        return rc;
    if (c->checkpoint == 0 && (c->change_count == 0 || c->changes[0].index != 1))
        return diag_set(diag, ERR_CORRUPT, "the log's first entry is no configuration");
    return 0;
}

static void free_changes(struct consensus *c)
{
    for (unsigned i = 0; i < c->change_count; i++)
        change_clear(&c->changes[i]);
    mem_free(c->changes);
    c->changes = NULL;
    c->change_count = 0;
}

/* ---- Before the start ---- */

/* The configuration with which a new group begins. */
static int choose_configuration(struct consensus *c, const struct consensus_options *options,
                                struct diag *diag)
{
    struct configuration conf;
    struct consensus_member self = {options->self_id, options->address, MEMBER_VOTER};
    struct buf encoded = {0};
    if (options->configuration.len > 0)
        buf_append_slice(&encoded, options->configuration);
    else if (consensus_encode_configuration(&self, 1, &encoded) != 0)
        return diag_set(diag, ERR_FORMAT, "'%s' cannot be a member's address", options->address);
    bool is_valid = configuration_parse(buf_slice(&encoded), &conf) == 0;
    if (is_valid)
        add_change(c, 1, buf_slice(&encoded));
    buf_fini(&encoded);
    return is_valid ? 0 : diag_set(diag, ERR_FORMAT, "the new group's configuration is invalid");
}

/* The first entry of a new group. A log that has just been opened has room for it. */
static void append_first_entry(struct consensus *c)
{
    struct frame *frame = core_small_frame(buf_slice(&c->changes[0].configuration), ENTRY_CHANGE);
    frame->first_index = 1;
    frame->term = FIRST_TERM;
    seglog_append(c->log, frame);
    tail_push(&c->tail, frame);
    frame_unref(frame);
    c->last_index = 1;
}

/* The newest configuration there is, committed or not, decides who may lead at once. */
static bool is_sole_voter(const struct consensus *c)
{
    struct configuration conf;
    const struct change *newest =
        c->change_count > 0 ? &c->changes[c->change_count - 1] : &c->committed;
    int rc = configuration_parse(buf_slice(&newest->configuration), &conf);
    ASSERT(rc == 0); /* C9 */
    return configuration_is_sole_voter(&conf, c->self_id);
}

static int prepare(struct consensus *c, const struct consensus_options *options, struct diag *diag)
{
    const struct seglog_found *found = options->found;
    bool is_new = c->last_index == 0;
    int rc = is_new ? choose_configuration(c, options, diag) : 0;
    if (rc != 0)
        return rc;
    uint64_t term = max_u64(found->term, c->checkpoint_term);
    c->boot_term = is_new ? max_u64(term, FIRST_TERM) : term;
    c->boot_vote = found->term == c->boot_term ? found->vote : 0;
    c->is_sole_voter = is_sole_voter(c);
    if (c->is_sole_voter) {
        c->boot_term++; /* rule B */
        c->boot_vote = c->self_id;
    }
    if (c->committed.index > 0 && c->committed.index >= found->configuration_index)
        seglog_set_configuration(c->log, c->committed.index, options->configuration);
    if (c->boot_term != found->term)
        core_put_hard_state(c, c->boot_term, c->boot_vote);
    if (is_new)
        append_first_entry(c);
    return 0;
}

int consensus_open(const struct consensus_options *options, struct consensus **out,
                   struct diag *diag)
{
    ASSERT(options->self_id > 0 && options->address != NULL);
    ASSERT(options->election_timeout_ms > 0 && options->heartbeat_ms > 0);
    if (raft_version_number() != LIBRAFT_VERSION)
        return diag_set(diag, ERR_VERSION, "libraft has version %d, this needs exactly %d",
                        raft_version_number(), LIBRAFT_VERSION);
    int rc = check_found(options, diag);
    if (rc != 0)
        return rc;
    struct consensus *c = new_consensus(options);
    rc = find_changes(c, options->found->newest_change, diag);
    if (rc == 0)
        rc = prepare(c, options, diag);
    if (rc != 0) {
        consensus_close(c);
        return rc;
    }
    seglog_flush(c->log);
    *out = c;
    return 0;
}

void consensus_close(struct consensus *c)
{
    if (c == NULL)
        return;
    raft_close(&c->raft, NULL);
    cursor_fini(&c->delivery);
    peers_fini(c);
    tail_fini(&c->tail);
    free_changes(c);
    change_clear(&c->uncommitted);
    change_clear(&c->committed);
    mem_free(c);
}

/* ---- The START event ---- */

/* Terms and types of all entries above the checkpoint. If the core refuses it frees entries and
 * batch, so they are of its own making. */
static int fill_entries(struct consensus *c, struct raft_event *event)
{
    uint64_t count = c->last_index - c->checkpoint;
    unsigned change = 0;
    event->start.start_index = c->checkpoint + 1;
    if (count == 0)
        return 0;
    struct raft_entry *entries =
        count > UINT32_MAX ? NULL : raft_calloc((size_t)count, sizeof(*entries));
    void *batch = raft_malloc(1);
    if (entries == NULL || batch == NULL) {
        raft_free(entries);
        raft_free(batch);
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t index = c->checkpoint + 1 + i;
        entries[i].term = seglog_term(c->log, index);
        entries[i].type = RAFT_COMMAND;
        entries[i].batch = batch;
        ASSERT(entries[i].term > 0);
        if (change == c->change_count || c->changes[change].index != index)
            continue;
        entries[i].type = RAFT_CHANGE;
        entries[i].buf.base = c->changes[change].configuration.data;
        entries[i].buf.len = c->changes[change].configuration.len;
        change++;
    }
    ASSERT(change == c->change_count);
    event->start.entries = entries;
    event->start.n_entries = (unsigned)count;
    return 0;
}

static int start_core(struct consensus *c)
{
    struct raft_snapshot_metadata metadata = {.index = c->checkpoint, .term = c->checkpoint_term};
    struct raft_event event = {.type = RAFT_START};
    event.start.term = c->boot_term;
    event.start.voted_for = c->boot_vote;
    int rc = fill_entries(c, &event);
    if (rc != 0)
        return rc;
    if (c->checkpoint > 0) {
        metadata.configuration = configuration_to_raft(buf_slice(&c->committed.configuration));
        metadata.configuration_index = c->committed.index;
        event.start.metadata = &metadata;
    }
    /* The newest CHANGE may be uncommitted; the core takes the first entry of all as committed. */
    const struct change *newest = c->change_count > 0 ? &c->changes[c->change_count - 1] : NULL;
    if (newest != NULL && newest->index > 1 && newest->index > c->committed.index)
        change_set(&c->uncommitted, newest->index, buf_slice(&newest->configuration));
    c->stored = c->last_index;
    c->phase = PHASE_RUNNING;
    core_tell(c, &event);
    ASSERT(c->stored == c->raft.last_stored && c->last_index == raft_last_index(&c->raft));
    if (event.start.n_entries > 0)
        raft_free(event.start.entries[0].batch);
    raft_free(event.start.entries);
    free_changes(c);
    return 0;
}

void start_step(struct consensus *c)
{
    if (c->phase != PHASE_STARTING || seglog_durable_sequence(c->log) < c->hard_sequence ||
        seglog_durable_index(c->log) < c->last_index)
        return;
    int rc = start_core(c);
    if (rc != 0)
        deliver_fail(c, rc);
}
