/* SPDX-License-Identifier: Apache-2.0 */
#include "support/member.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

#define LOG_DIR      "log"
#define GROUP_ID     77
#define STEP_BUDGET  ((size_t)1 << 20)
#define RUN_STEP_MS  10
#define STEPS_MAX    100000
#define ADDRESS_SIZE 32

/* ---- Mail ---- */

struct mail *mail_new(uint64_t to, const struct consensus_message *message)
{
    struct mail *mail = mem_calloc(1, sizeof(*mail));
    size_t total = 0;
    list_init(&mail->node);
    mail->to = to;
    mail->message = *message;
    if (message->type != MESSAGE_APPEND_ENTRIES || message->append.entry_count == 0)
        return mail;
    uint32_t count = message->append.entry_count;
    for (uint32_t i = 0; i < count; i++)
        total += message->append.entries[i].payload.len;
    mail->entries = mem_dup(message->append.entries, count * sizeof(*mail->entries));
    mail->bytes = mem_alloc(total + 1);
    uint8_t *at = mail->bytes;
    for (uint32_t i = 0; i < count; i++) {
        struct slice payload = mail->entries[i].payload;
        if (payload.len > 0)
            memcpy(at, payload.data, payload.len);
        mail->entries[i].payload.data = at;
        at += payload.len;
    }
    mail->message.append.entries = mail->entries;
    return mail;
}

void mail_free(struct mail *mail)
{
    if (mail == NULL)
        return;
    mem_free(mail->entries);
    mem_free(mail->bytes);
    mem_free(mail);
}

void mail_drop(struct list_node *list)
{
    for (struct list_node *node; (node = list_pop_front(list)) != NULL;)
        mail_free(LIST_ENTRY(node, struct mail, node));
}

struct mail *member_take_mail(struct member *member)
{
    struct list_node *node = list_pop_front(&member->outbox);
    return node == NULL ? NULL : LIST_ENTRY(node, struct mail, node);
}

const struct consensus_message *member_find_mail(const struct member *member,
                                                 enum consensus_message_type type)
{
    const struct consensus_message *found = NULL;
    LIST_EACH(node, next, &member->outbox)
    {
        const struct mail *mail = LIST_ENTRY(node, struct mail, node);
        if (mail->message.type == type)
            found = &mail->message;
    }
    return found;
}

/* ---- Events ---- */

static void tell(struct member *member)
{
    if (member->on_event != NULL)
        member->on_event(member, member->event_ctx);
}

static void on_commit(void *ctx, const struct log_entry *entry, struct frame *frame)
{
    struct member *member = ctx;
    struct handed last = member_last(member);
    uint64_t before = last.index == 0 ? member->checkpoint_index : last.index;
    if (entry->index != before + 1 || entry->term < last.term || frame == NULL)
        member->is_order_broken = true;
    if ((member->handed_count & (member->handed_count - 1)) == 0)
        member->handed =
            mem_realloc(member->handed, (2 * member->handed_count + 1) * sizeof(*member->handed));
    member->handed[member->handed_count++] = (struct handed){
        .index = entry->index,
        .term = entry->term,
        .type = entry->type,
        .value = entry->type == ENTRY_COMMAND ? get_u64(entry->payload.data) : 0,
    };
    tell(member);
}

static void on_role(void *ctx, enum consensus_role role, uint64_t term)
{
    struct member *member = ctx;
    member->role = role;
    member->term = term;
    member->role_events++;
    tell(member);
}

static void on_unknown(void *ctx, uint64_t from_index, int error)
{
    struct member *member = ctx;
    member->unknown_events++;
    member->unknown_from = from_index;
    member->unknown_error = error;
}

static void on_send(void *ctx, uint64_t peer_id, const struct consensus_message *message)
{
    struct member *member = ctx;
    list_push_back(&member->outbox, &mail_new(peer_id, message)->node);
}

static void on_snapshot_wanted(void *ctx, uint64_t peer_id)
{
    struct member *member = ctx;
    member->snapshot_wanted_by = peer_id;
}

static const struct consensus_events events = {
    .on_commit = on_commit,
    .on_role = on_role,
    .on_unknown = on_unknown,
    .on_send = on_send,
    .on_snapshot_wanted = on_snapshot_wanted,
};

struct handed member_last(const struct member *member)
{
    return member->handed_count == 0 ? (struct handed){0}
                                     : member->handed[member->handed_count - 1];
}

/* ---- Life ---- */

void member_init(struct member *member, uint64_t id, struct simclock *clock, uint64_t seed)
{
    *member = (struct member){
        .id = id,
        .disk = simdisk_new(seed),
        .clock = clock,
        .segment_size = 256U << 10,
        .max_in_flight = 4,
        .election_timeout_ms = 1000,
        .heartbeat_ms = 100,
    };
    simchance_init(&member->chance, seed ^ (id << 32));
    list_init(&member->outbox);
}

void member_fini(struct member *member)
{
    member_stop(member);
    mail_drop(&member->outbox);
    mem_free(member->handed);
    buf_fini(&member->configuration);
    simdisk_free(member->disk);
}

struct buf member_configuration(unsigned count, unsigned standbys)
{
    struct consensus_member members[CONSENSUS_MEMBERS_MAX];
    char addresses[CONSENSUS_MEMBERS_MAX][ADDRESS_SIZE];
    struct buf encoded = {0};
    for (unsigned i = 0; i < count; i++) {
        snprintf(addresses[i], sizeof(addresses[i]), "node-%u", i + 1);
        members[i] = (struct consensus_member){
            .id = i + 1,
            .address = addresses[i],
            .role = i + standbys < count ? MEMBER_VOTER : MEMBER_STANDBY,
        };
    }
    int rc = consensus_encode_configuration(members, count, &encoded);
    ASSERT(rc == 0);
    return encoded;
}

void member_set_voters(struct member *member, unsigned voters)
{
    buf_fini(&member->configuration);
    member->configuration = member_configuration(voters, 0);
}

static struct os member_os(struct member *member)
{
    return (struct os){
        .fs = simdisk_fs(member->disk),
        .clock = &member->clock->clock,
        .chance = &member->chance.chance,
    };
}

static int open_log(struct member *member)
{
    struct seglog_options options = {
        .os = member_os(member),
        .aio = member->aio,
        .dir = LOG_DIR,
        .group_id = GROUP_ID,
        .segment_size = member->segment_size,
        .max_in_flight = member->max_in_flight,
        .max_spare = 1,
        .checkpoint_index = member->checkpoint_index,
        .checkpoint_term = member->checkpoint_term,
    };
    return seglog_open(&options, &member->log, &member->found, &member->diag);
}

static int open_consensus(struct member *member)
{
    char address[ADDRESS_SIZE];
    snprintf(address, sizeof(address), "node-%u", (unsigned)member->id);
    struct consensus_options options = {
        .os = member_os(member),
        .log = member->log,
        .found = &member->found,
        .self_id = member->id,
        .address = address,
        .checkpoint_index = member->checkpoint_index,
        .checkpoint_term = member->checkpoint_term,
        .configuration = buf_slice(&member->configuration),
        .configuration_index = member->configuration_index,
        .election_timeout_ms = member->election_timeout_ms,
        .heartbeat_ms = member->heartbeat_ms,
        .cache_bytes = member->cache_bytes,
        .events = &events,
        .ctx = member,
    };
    return consensus_open(&options, &member->consensus, &member->diag);
}

static void forget(struct member *member)
{
    mail_drop(&member->outbox);
    member->handed_count = 0;
    member->role = ROLE_FOLLOWER;
    member->term = 0;
    member->role_events = 0;
    member->unknown_events = 0;
    member->unknown_from = 0;
    member->unknown_error = 0;
    member->error = 0;
}

int member_start(struct member *member)
{
    ASSERT(member->consensus == NULL);
    forget(member);
    member->aio = simdisk_aio(member->disk);
    int rc = open_log(member);
    if (rc == 0)
        rc = open_consensus(member);
    if (rc != 0)
        member_stop(member);
    return rc;
}

/* The log must not be closed with writes in flight unless it has failed, so they come back first;
 * what that changes on the disk is not what a crash is about. */
static void close_log(struct member *member)
{
    int rc = 0;
    simdisk_hold(member->disk, false);
    while (rc == 0 && seglog_in_flight(member->log) > 0) {
        seglog_flush(member->log);
        rc = seglog_poll(member->log);
    }
    for (struct frame *frame; (frame = seglog_next_durable(member->log)) != NULL;)
        frame_unref(frame);
    seglog_close(member->log);
    member->log = NULL;
}

void member_stop(struct member *member)
{
    consensus_close(member->consensus);
    member->consensus = NULL;
    if (member->log != NULL)
        close_log(member);
    if (member->aio != NULL)
        aio_close(member->aio);
    member->aio = NULL;
}

void member_crash(struct member *member, uint64_t seed)
{
    struct simdisk *image = simdisk_image(member->disk, simdisk_steps(member->disk), seed);
    member_stop(member);
    simdisk_free(member->disk);
    member->disk = image;
}

static void prepare_segments(struct member *member)
{
    for (struct seglog_prep *prep; (prep = seglog_prep_take(member->log)) != NULL;) {
        seglog_prep_run(prep);
        if (seglog_prep_done(member->log, prep) != 0)
            return;
    }
}

void member_step(struct member *member)
{
    unsigned steps = 0;
    prepare_segments(member);
    while (consensus_step(member->consensus, STEP_BUDGET, &member->error))
        ASSERT(++steps < STEPS_MAX);
}

void member_settle(struct member *member)
{
    unsigned steps = 0;
    do {
        member_step(member);
        ASSERT(++steps < STEPS_MAX);
    } while (member->error == 0 && seglog_in_flight(member->log) > 0);
    member_step(member);
}

void member_run(struct member *member, uint64_t ms)
{
    for (uint64_t done = 0; done < ms; done += RUN_STEP_MS) {
        simclock_advance(member->clock, RUN_STEP_MS);
        member_settle(member);
    }
}

struct frame *member_frame(uint64_t value, size_t size)
{
    struct frame *frame = frame_new(size);
    ASSERT(frame != NULL && size >= sizeof(value));
    memset(frame->data + FRAME_PAYLOAD_OFF, (int)(value & 0xff), size);
    put_u64(frame->data + FRAME_PAYLOAD_OFF, value);
    frame->size = FRAME_PAYLOAD_OFF + size;
    return frame;
}

int member_submit(struct member *member, uint64_t value, uint64_t *out_index)
{
    struct frame *frame = member_frame(value, 64);
    int rc = consensus_submit(member->consensus, frame, out_index);
    frame_unref(frame);
    return rc;
}

void member_checkpoint(struct member *member)
{
    uint64_t index = member_last(member).index;
    uint64_t configuration_index;
    if (index <= member->checkpoint_index)
        return;
    struct slice encoded = consensus_configuration(member->consensus, &configuration_index);
    buf_reset(&member->configuration, 0);
    buf_append_slice(&member->configuration, encoded);
    member->configuration_index = configuration_index;
    member->checkpoint_term = consensus_term_of(member->consensus, index);
    member->checkpoint_index = index;
    consensus_checkpoint(member->consensus, index);
}
