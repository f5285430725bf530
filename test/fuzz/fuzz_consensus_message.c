/* SPDX-License-Identifier: Apache-2.0 */
/* Gives a member of three whatever messages the input describes, with steps, own writes and
 * checkpoints between them. Whatever peers say, nothing that has been handed out is taken back, and
 * driver and log agree on what the log holds.
 *
 * Input: a byte says what comes (below 7 a message of that type; 7 checkpoint, 8 time, 9 settling,
 * 10 own write, 11 change), further bytes its fields: terms count from the member's less 4, indices
 * from its next one less 8. An entry is one byte: its term's rise in bits 0-1, its type in bits
 * 2-3, which configuration in bits 4-5.
 */
#include "support/fuzz.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "support/member.h"

#define ENTRIES_MAX 8
#define BLOCKS_MAX  64

struct play {
    struct member member;
    struct simclock clock;
    struct reader input;
    struct buf configurations[4];
    uint64_t handed;
};

static uint64_t any_term(struct play *play)
{
    uint64_t term = consensus_term(play->member.consensus) + reader_u8(&play->input);
    return term > 4 ? term - 4 : 1;
}

static uint64_t any_index(struct play *play)
{
    uint64_t index = consensus_next_index(play->member.consensus) + reader_u8(&play->input);
    return index > 8 ? index - 8 : 0;
}

/* The entry's own term, or one beside it. */
static uint64_t term_at(struct play *play, uint64_t index)
{
    uint8_t rise = reader_u8(&play->input);
    uint64_t term = index == 0 ? 0 : consensus_term_of(play->member.consensus, index);
    return term + (rise > 200 ? rise - 200U : 0);
}

static void fill_append(struct play *play, struct consensus_message *message,
                        struct log_entry entries[ENTRIES_MAX])
{
    uint64_t index = any_index(play);
    uint64_t term = term_at(play, index);
    message->append.prev_index = index;
    message->append.prev_term = term;
    message->append.leader_commit = any_index(play);
    message->append.entries = entries;
    message->append.entry_count = reader_u8(&play->input) % (ENTRIES_MAX + 1);
    for (uint32_t i = 0; i < message->append.entry_count; i++) {
        uint8_t how = reader_u8(&play->input);
        term += how & 3;
        entries[i] = (struct log_entry){.index = ++index,
                                        .term = term,
                                        .type = (enum entry_type)(how >> 2 & 3),
                                        .payload = SLICE_LIT("payload!")};
        if (entries[i].type == ENTRY_CHANGE)
            entries[i].payload = buf_slice(&play->configurations[how >> 4 & 3]);
    }
}

static void fill_others(struct play *play, struct consensus_message *message)
{
    uint64_t index = any_index(play);
    uint8_t flags = reader_u8(&play->input);
    switch (message->type) {
    case MESSAGE_APPEND_ENTRIES_RESULT:
        message->append_result.last_index = index;
        message->append_result.rejected = (flags & 1) != 0 ? any_index(play) : 0;
        break;
    case MESSAGE_REQUEST_VOTE:
        message->vote.candidate_id = message->from_id;
        message->vote.last_index = index;
        message->vote.last_term = term_at(play, index);
        message->vote.disrupt_leader = (flags & 1) != 0;
        message->vote.pre_vote = (flags & 2) != 0;
        break;
    case MESSAGE_REQUEST_VOTE_RESULT:
        message->vote_result.granted = (flags & 1) != 0;
        message->vote_result.pre_vote = (flags & 2) != 0;
        break;
    case MESSAGE_TIMEOUT_NOW:
        message->timeout_now.last_index = index;
        message->timeout_now.last_term = term_at(play, index);
        break;
    case MESSAGE_APPEND_ENTRIES:
    case MESSAGE_INSTALL_SNAPSHOT:
        break;
    }
}

static void hear(struct play *play, uint8_t what)
{
    struct log_entry entries[ENTRIES_MAX];
    struct consensus_message message = {
        .type = (enum consensus_message_type)what,
        .from_id = reader_u8(&play->input) % 5,
        .term = any_term(play),
    };
    if (message.type == MESSAGE_APPEND_ENTRIES)
        fill_append(play, &message, entries);
    else
        fill_others(play, &message);
    IGNORE(consensus_receive(play->member.consensus, &message), "any answer will do");
}

static void act(struct play *play, uint8_t what)
{
    struct member *member = &play->member;
    uint64_t index;
    switch (what) {
    case 7:
        member_checkpoint(member);
        break;
    case 8:
        member_run(member, reader_u8(&play->input) * 2U);
        break;
    case 9:
        member_settle(member);
        break;
    case 10:
        IGNORE(member_submit(member, 1, &index), "it may be no leader");
        break;
    default:
        IGNORE(consensus_change(member->consensus,
                                buf_slice(&play->configurations[reader_u8(&play->input) & 3]),
                                &index),
               "as above");
    }
}

static void check(struct play *play)
{
    const struct member *member = &play->member;
    const struct consensus *c = member->consensus;
    uint64_t last = consensus_next_index(c) - 1;
    uint64_t handed = member_last(member).index;
    ASSERT(member->error == 0 && !member->is_order_broken);
    ASSERT(handed >= play->handed && handed <= consensus_commit_index(c));
    ASSERT(consensus_commit_index(c) <= last && last == seglog_last_index(member->log));
    for (uint64_t index = member->checkpoint_index + 1; index <= last; index++)
        ASSERT(consensus_term_of(c, index) == seglog_term(member->log, index));
    play->handed = handed;
    mail_drop(&play->member.outbox);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {0};
    simclock_init(&play.clock, 1000000);
    member_init(&play.member, 1, &play.clock, 1);
    member_set_voters(&play.member, 3);
    play.member.cache_bytes = 1 << 16;
    play.member.election_timeout_ms = 200;
    play.member.heartbeat_ms = 20;
    for (unsigned i = 0; i < 4; i++)
        play.configurations[i] = member_configuration(1 + i, i / 2);
    int rc = member_start(&play.member);
    ASSERT(rc == 0);
    member_settle(&play.member);
    reader_init(&play.input, slice_of(data, size));
    for (unsigned i = 0; i < BLOCKS_MAX && reader_left(&play.input) > 0; i++) {
        uint8_t what = reader_u8(&play.input) % 12;
        if (what <= 6)
            hear(&play, what);
        else
            act(&play, what);
        check(&play);
    }
    for (unsigned i = 0; i < 4; i++)
        buf_fini(&play.configurations[i]);
    member_fini(&play.member);
    return 0;
}
