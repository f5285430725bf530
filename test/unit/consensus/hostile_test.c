/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that no honest peer sends: refused where they can be told, survived in any case. */
#include "consensus/consensus.h"

#include <errno.h>

#include "base/err.h"
#include "consensus/consensus_internal.h"
#include "support/cmocka.h"
#include "support/member.h"

#ifdef FERRIC_SANITIZED
#    define ROUNDS 30
#else
#    define ROUNDS 300
#endif
#define MESSAGES    400
#define ENTRIES_MAX 6

static struct simclock clock_of_test;

static void start(struct member *m)
{
    int rc = member_start(m);
    if (rc != 0)
        print_message("%s\n", m->diag.text);
    assert_int_equal(rc, 0);
    member_settle(m);
}

static void make(struct member *m, unsigned voters, uint64_t seed)
{
    simclock_init(&clock_of_test, 1000000);
    member_init(m, 1, &clock_of_test, seed);
    m->cache_bytes = 1 << 20;
    m->election_timeout_ms = 200;
    m->heartbeat_ms = 20;
    member_set_voters(m, voters);
    start(m);
}

/* ---- One thing wrong at a time ---- */

static uint8_t bytes[8];

static struct consensus_message good_append(struct log_entry entries[2])
{
    for (uint64_t i = 0; i < 2; i++)
        entries[i] = (struct log_entry){.index = 2 + i,
                                        .term = 3,
                                        .type = ENTRY_COMMAND,
                                        .payload = slice_of(bytes, sizeof(bytes))};
    return (struct consensus_message){
        .type = MESSAGE_APPEND_ENTRIES,
        .from_id = 2,
        .term = 3,
        .append = {.prev_index = 1, .prev_term = 1, .entries = entries, .entry_count = 2},
    };
}

static void refused(struct member *m, const struct consensus_message *message)
{
    uint64_t term = consensus_term(m->consensus);
    uint64_t next = consensus_next_index(m->consensus);
    assert_int_equal(consensus_receive(m->consensus, message), ERR_PROTOCOL);
    member_settle(m);
    assert_int_equal(consensus_term(m->consensus), term);
    assert_int_equal(consensus_next_index(m->consensus), next);
    assert_null(member_take_mail(m));
}

#define REFUSED_APPEND(change)                             \
    do {                                                   \
        struct log_entry e[2];                             \
        struct consensus_message message = good_append(e); \
        struct consensus_message *msg UNUSED = &message;   \
        change;                                            \
        refused(&m, &message);                             \
    } while (0)

static void malformed_entries_are_refused(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3, 1);
    REFUSED_APPEND(msg->from_id = 0);
    REFUSED_APPEND(msg->from_id = 1);
    REFUSED_APPEND(msg->term = 0);
    REFUSED_APPEND(msg->term = UINT64_MAX);
    REFUSED_APPEND(msg->term = 1 + TERM_JUMP_MAX + 1);
    REFUSED_APPEND(msg->type = (enum consensus_message_type)0);
    REFUSED_APPEND(msg->type = (enum consensus_message_type)99);
    REFUSED_APPEND(msg->append.prev_term = 0);
    REFUSED_APPEND(msg->append.prev_term = 4);
    REFUSED_APPEND(msg->append.prev_index = 0);
    REFUSED_APPEND(msg->append.prev_index = 5);
    REFUSED_APPEND(msg->append.prev_index = UINT64_MAX);
    REFUSED_APPEND(msg->append.prev_index = CONSENSUS_INDEX_MAX - 1);
    REFUSED_APPEND(msg->append.leader_commit = CONSENSUS_INDEX_MAX + 1);
    REFUSED_APPEND(msg->append.entries = NULL);
    REFUSED_APPEND(e[0].index = 3);
    REFUSED_APPEND(e[1].index = 2);
    REFUSED_APPEND(e[1].index = UINT64_MAX);
    REFUSED_APPEND(e[0].term = 0);
    REFUSED_APPEND(e[0].term = 4);
    REFUSED_APPEND(e[1].term = 2);
    REFUSED_APPEND(e[0].type = (enum entry_type)0);
    REFUSED_APPEND(e[1].type = (enum entry_type)77);
    REFUSED_APPEND(e[1].payload.data = NULL);
    REFUSED_APPEND(e[1].type = ENTRY_CHANGE);
    REFUSED_APPEND((e[0].type = ENTRY_CHANGE, e[0].payload = SLICE_EMPTY));
    /* Against what is committed: entry 1 has term 1. */
    REFUSED_APPEND(msg->append.prev_term = 2);
    struct log_entry e[2];
    struct consensus_message good = good_append(e);
    assert_int_equal(consensus_receive(m.consensus, &good), 0);
    good.append.entry_count = 0;
    assert_int_equal(consensus_receive(m.consensus, &good), 0);
    e[0].payload = SLICE_EMPTY;
    good.append.entry_count = 2;
    assert_int_equal(consensus_receive(m.consensus, &good), 0);
    member_fini(&m);
}

static void malformed_others_are_refused(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3, 1);
    struct consensus_message cases[] = {
        {.type = MESSAGE_APPEND_ENTRIES_RESULT, .from_id = 9, .term = 1},
        {.type = MESSAGE_APPEND_ENTRIES_RESULT,
         .from_id = 2,
         .term = 1,
         .append_result = {.rejected = 3, .last_index = 3}},
        {.type = MESSAGE_APPEND_ENTRIES_RESULT,
         .from_id = 2,
         .term = 1,
         .append_result = {.last_index = UINT64_MAX}},
        {.type = MESSAGE_APPEND_ENTRIES_RESULT,
         .from_id = 2,
         .term = 1,
         .append_result = {.rejected = UINT64_MAX}},
        {.type = MESSAGE_REQUEST_VOTE, .from_id = 2, .term = 5, .vote = {.candidate_id = 3}},
        {.type = MESSAGE_REQUEST_VOTE,
         .from_id = 2,
         .term = 5,
         .vote = {.candidate_id = 2, .last_index = 7}},
        {.type = MESSAGE_REQUEST_VOTE,
         .from_id = 2,
         .term = 5,
         .vote = {.candidate_id = 2, .last_index = 7, .last_term = 6}},
        {.type = MESSAGE_REQUEST_VOTE_RESULT, .from_id = 4, .term = 5},
        {.type = MESSAGE_TIMEOUT_NOW, .from_id = 4, .term = 5},
        {.type = MESSAGE_TIMEOUT_NOW, .from_id = 2, .term = 5, .timeout_now = {.last_index = 1}},
        {.type = MESSAGE_INSTALL_SNAPSHOT, .from_id = 2, .term = 5},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        refused(&m, &cases[i]);
    member_fini(&m);
}

static void second_leader_of_a_term_is_refused(void **state)
{
    (void)state;
    struct member m;
    make(&m, 1, 1);
    assert_int_equal(m.role, ROLE_LEADER);
    struct consensus_message message = {
        .type = MESSAGE_APPEND_ENTRIES, .from_id = 2, .term = m.term};
    refused(&m, &message);
    message.term--;
    assert_int_equal(consensus_receive(m.consensus, &message), 0);
    assert_int_equal(m.role, ROLE_LEADER);
    member_fini(&m);
}

static void entry_too_large_for_this_log_is_refused(void **state)
{
    (void)state;
    struct member m;
    make(&m, 3, 1);
    static uint8_t large[1 << 18];
    struct log_entry e[2];
    struct consensus_message message = good_append(e);
    e[1].payload = slice_of(large, seglog_max_frame(m.log));
    assert_int_equal(consensus_receive(m.consensus, &message), ERR_TOO_BIG);
    member_settle(&m);
    e[1].payload = slice_of(large, seglog_max_frame(m.log) - FRAME_PAYLOAD_OFF);
    int rc = ERR_AGAIN;
    for (int i = 0; i < 5 && rc == ERR_AGAIN; i++) {
        rc = consensus_receive(m.consensus, &message);
        member_settle(&m);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(consensus_next_index(m.consensus), 4);
    member_fini(&m);
}

static void messages_are_dropped_before_the_start_and_after_the_end(void **state)
{
    (void)state;
    struct member m;
    struct log_entry e[2];
    struct consensus_message message = good_append(e);
    simclock_init(&clock_of_test, 1000000);
    member_init(&m, 1, &clock_of_test, 1);
    member_set_voters(&m, 3);
    assert_int_equal(member_start(&m), 0);
    assert_int_equal(consensus_receive(m.consensus, &message), ERR_AGAIN);
    member_settle(&m);
    simdisk_fail_nth(m.disk, SIM_AIO, NULL, 1, -EIO);
    assert_int_equal(consensus_receive(m.consensus, &message), 0);
    member_settle(&m);
    member_step(&m);
    assert_int_equal(m.error, -EIO);
    assert_int_equal(m.role, ROLE_FAILED);
    assert_int_equal(m.unknown_events, 0);
    assert_int_equal(consensus_receive(m.consensus, &message), ERR_LOG_FAILED);
    member_run(&m, 5000);
    assert_null(member_take_mail(&m));
    member_fini(&m);
}

/* ---- Anything ---- */

struct storm {
    struct member m;
    struct simchance source;
    uint64_t handed;
};

static uint64_t chance(struct storm *storm, uint64_t limit)
{
    return chance_u64(&storm->source.chance) % limit;
}

static uint64_t any_term(struct storm *storm)
{
    uint64_t term = consensus_term(storm->m.consensus) + chance(storm, 5);
    uint64_t back = chance(storm, 4);
    return term > back ? term - back : 1;
}

static uint64_t any_index(struct storm *storm)
{
    uint64_t next = consensus_next_index(storm->m.consensus);
    if (chance(storm, 50) == 0)
        return chance_u64(&storm->source.chance);
    if (chance(storm, 2) == 0)
        return next - 1 - (next > 4 ? chance(storm, 4) : 0);
    return chance(storm, next + 2);
}

static uint64_t likely_term_of(struct storm *storm, uint64_t index)
{
    uint64_t term = index == 0 ? 0 : core_term(storm->m.consensus, index);
    return chance(storm, 10) == 0 ? any_term(storm) : term;
}

/* A valid configuration of up to four members, with or without this one. */
static struct buf any_configuration(struct storm *storm)
{
    static const char *const addresses[] = {"a", "b", "c", "d", "e"};
    struct consensus_member members[5];
    struct buf encoded = {0};
    size_t count = 0;
    for (uint64_t id = 1; id <= 5; id++)
        if (chance(storm, id == 1 ? 10 : 2) != 0)
            members[count++] = (struct consensus_member){
                id, addresses[id - 1], chance(storm, 4) == 0 ? MEMBER_STANDBY : MEMBER_VOTER};
    if (count == 0)
        members[count++] = (struct consensus_member){2, "b", MEMBER_VOTER};
    assert_int_equal(consensus_encode_configuration(members, count, &encoded), 0);
    return encoded;
}

static int send_append(struct storm *storm, struct consensus_message *message)
{
    struct log_entry entries[ENTRIES_MAX];
    struct buf configuration = any_configuration(storm);
    uint64_t index = any_index(storm);
    uint64_t term = likely_term_of(storm, index);
    message->append.prev_index = index;
    message->append.prev_term = term;
    message->append.leader_commit = any_index(storm);
    message->append.entries = entries;
    message->append.entry_count = (uint32_t)chance(storm, ENTRIES_MAX + 1);
    for (uint32_t i = 0; i < message->append.entry_count; i++) {
        bool is_known = chance(storm, 2) == 0 && core_term(storm->m.consensus, index + 1) != 0;
        uint64_t more = chance(storm, 4) == 0 ? 1 : 0;
        term = is_known ? core_term(storm->m.consensus, index + 1) : term + more;
        entries[i] = (struct log_entry){.index = ++index,
                                        .term = term,
                                        .type = ENTRY_COMMAND,
                                        .payload = slice_of(bytes, sizeof(bytes))};
        if (chance(storm, 8) == 0) {
            entries[i].type = ENTRY_CHANGE;
            entries[i].payload = buf_slice(&configuration);
        }
    }
    int rc = consensus_receive(storm->m.consensus, message);
    buf_fini(&configuration);
    return rc;
}

static int send_any(struct storm *storm)
{
    struct consensus_message message = {
        .type = (enum consensus_message_type)(1 + chance(storm, 6)),
        .from_id = chance(storm, 30) == 0 ? chance(storm, 9) : 2 + chance(storm, 4),
        .term = any_term(storm),
    };
    switch (message.type) {
    case MESSAGE_APPEND_ENTRIES:
        return send_append(storm, &message);
    case MESSAGE_APPEND_ENTRIES_RESULT:
        message.append_result.rejected = chance(storm, 2) == 0 ? 0 : any_index(storm);
        message.append_result.last_index = any_index(storm);
        break;
    case MESSAGE_REQUEST_VOTE:
        message.vote.candidate_id = message.from_id;
        message.vote.last_index = any_index(storm);
        message.vote.last_term = likely_term_of(storm, message.vote.last_index);
        message.vote.disrupt_leader = chance(storm, 3) == 0;
        message.vote.pre_vote = chance(storm, 2) == 0;
        break;
    case MESSAGE_REQUEST_VOTE_RESULT:
        message.vote_result.granted = chance(storm, 3) != 0;
        message.vote_result.pre_vote = chance(storm, 2) == 0;
        break;
    case MESSAGE_TIMEOUT_NOW:
        message.timeout_now.last_index = any_index(storm);
        message.timeout_now.last_term = likely_term_of(storm, message.timeout_now.last_index);
        break;
    case MESSAGE_INSTALL_SNAPSHOT:
        break;
    }
    return consensus_receive(storm->m.consensus, &message);
}

static void check(struct storm *storm)
{
    struct consensus *c = storm->m.consensus;
    uint64_t handed = storm->m.checkpoint_index;
    if (member_last(&storm->m).index > handed)
        handed = member_last(&storm->m).index;
    assert_true(handed >= storm->handed);
    storm->handed = handed;
    assert_false(storm->m.is_order_broken);
    assert_int_equal(storm->m.error, 0);
    assert_true(handed <= consensus_commit_index(c));
    assert_true(consensus_commit_index(c) < consensus_next_index(c));
    assert_int_equal(c->last_index, seglog_last_index(storm->m.log));
    assert_int_equal(c->last_index, raft_last_index(&c->raft));
    assert_int_equal(c->stored, c->raft.last_stored);
    assert_int_equal(c->members.count, c->raft.configuration.n);
    assert_int_equal(c->uncommitted.index, c->raft.configuration_uncommitted_index);
    for (uint64_t index = c->checkpoint + 1; index <= c->last_index; index++)
        assert_int_equal(core_term(c, index), seglog_term(storm->m.log, index));
}

static void do_own_things(struct storm *storm)
{
    struct member *m = &storm->m;
    uint64_t index;
    struct buf configuration = any_configuration(storm);
    switch (chance(storm, 12)) {
    case 0:
        IGNORE(member_submit(m, 1, &index), "it may be no leader");
        break;
    case 1:
        IGNORE(consensus_change(m->consensus, buf_slice(&configuration), &index), "as above");
        break;
    case 2:
        member_checkpoint(m);
        break;
    case 3:
        member_run(m, 10 + chance(storm, 400));
        break;
    case 4:
        member_step(m);
        break;
    default:
        break;
    }
    buf_fini(&configuration);
    if (chance(storm, 100) == 0) {
        member_crash(m, chance_u64(&storm->source.chance));
        start(m);
        /* What had been handed out comes again. */
        assert_true(m->role != ROLE_LEADER ||
                    m->checkpoint_index + m->handed_count >= storm->handed);
        storm->handed = m->checkpoint_index;
    }
}

static void anything_is_survived(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    unsigned total = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct storm storm = {0};
        unsigned taken = 0;
        make(&storm.m, 1 + (unsigned)(round % 3), seed + round);
        simchance_init(&storm.source, seed + round);
        for (unsigned i = 0; i < MESSAGES; i++) {
            int rc = send_any(&storm);
            assert_true(rc == 0 || rc == ERR_PROTOCOL || rc == ERR_AGAIN);
            taken += rc == 0;
            if (rc == ERR_AGAIN)
                member_settle(&storm.m);
            check(&storm);
            do_own_things(&storm);
            check(&storm);
            mail_drop(&storm.m.outbox);
        }
        total += taken;
        member_fini(&storm.m);
    }
    assert_true(total > ROUNDS * MESSAGES / 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_entries_are_refused),
        cmocka_unit_test(malformed_others_are_refused),
        cmocka_unit_test(second_leader_of_a_term_is_refused),
        cmocka_unit_test(entry_too_large_for_this_log_is_refused),
        cmocka_unit_test(messages_are_dropped_before_the_start_and_after_the_end),
        cmocka_unit_test(anything_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
