/* SPDX-License-Identifier: Apache-2.0 */
/* Three members, one thread, virtual time: messages are lost, doubled, late and out of order,
 * members lose power and come back, disks are slow, roles change. Checked all along: one leader a
 * term, one entry an index, nothing that was handed out anywhere is ever another elsewhere; and,
 * once all is well again, that they agree and go on.
 *
 * SEED and SEEDS (how many from there on) in the environment choose the runs. */
#include "consensus/consensus.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/num.h"
#include "consensus/consensus_internal.h"
#include "support/cmocka.h"
#include "support/member.h"

#define MEMBERS 3
#ifdef FERRIC_SANITIZED
#    define SEEDS 10
#else
#    define SEEDS 100
#endif
#define RUN_MS       2500
#define HEAL_MS      20000
#define TICK_MS      5
#define TERMS_MAX    4096
#define MAIL_MAX     2000
#define MATCH_TICKS  50 /* between two comparisons of whole logs */
#define ELECTION_MS  100
#define HEARTBEAT_MS 20
#define LINK_MS      6

struct group {
    struct member members[MEMBERS];
    struct simclock clock;
    struct simchance source;
    struct list_node network;
    uint64_t mail_count;
    uint64_t down_until[MEMBERS];
    uint64_t cut_until[MEMBERS]; /* neither sends nor hears */
    bool is_slow[MEMBERS];
    bool is_well; /* no more faults */
    uint64_t leader_of[TERMS_MAX];
    struct handed *agreed; /* by index */
    uint64_t agreed_last;
    uint64_t agreed_cap;
    uint64_t next_value;
    uint64_t ticks;
    uint64_t changes;
    uint64_t crashes;
};

static uint64_t chance(struct group *group, uint64_t limit)
{
    return chance_u64(&group->source.chance) % limit;
}

static uint64_t now(const struct group *group)
{
    return atomic_load(&group->clock.boot_ms);
}

/* ---- What must hold ---- */

static void agree(struct group *group, const struct handed *handed)
{
    if (handed->index >= group->agreed_cap) {
        group->agreed_cap = 2 * handed->index + 64;
        group->agreed = mem_realloc(group->agreed, group->agreed_cap * sizeof(*group->agreed));
    }
    if (handed->index <= group->agreed_last) {
        const struct handed *other = &group->agreed[handed->index];
        assert_int_equal(handed->term, other->term);
        assert_int_equal(handed->type, other->type);
        assert_int_equal(handed->value, other->value);
        return;
    }
    assert_int_equal(handed->index, group->agreed_last + 1);
    group->agreed[++group->agreed_last] = *handed;
}

static void on_event(struct member *member, void *ctx)
{
    struct group *group = ctx;
    assert_false(member->is_order_broken);
    if (member->role == ROLE_LEADER) {
        assert_true(member->term < TERMS_MAX);
        uint64_t *leader = &group->leader_of[member->term];
        assert_true(*leader == 0 || *leader == member->id);
        *leader = member->id;
    }
    if (member->handed_count > 0)
        agree(group, &member->handed[member->handed_count - 1]);
}

/* Two logs that have the same term at an index have the same terms below it. */
static void check_matching(const struct group *group)
{
    for (unsigned a = 0; a < MEMBERS; a++)
        for (unsigned b = 0; b < a; b++) {
            const struct consensus *left = group->members[a].consensus;
            const struct consensus *right = group->members[b].consensus;
            bool is_same = false;
            if (left == NULL || right == NULL || left->phase != PHASE_RUNNING ||
                right->phase != PHASE_RUNNING)
                continue;
            uint64_t low =
                left->checkpoint > right->checkpoint ? left->checkpoint : right->checkpoint;
            uint64_t high =
                left->last_index < right->last_index ? left->last_index : right->last_index;
            for (uint64_t i = high; i > low; i--) {
                bool is_equal = core_term(left, i) == core_term(right, i);
                assert_true(is_equal || !is_same);
                is_same = is_same || is_equal;
            }
        }
}

/* ---- Network ---- */

static bool is_cut(const struct group *group, uint64_t id)
{
    return group->cut_until[id - 1] > now(group);
}

static void post(struct group *group, struct mail *mail)
{
    bool is_lost = !group->is_well && (is_cut(group, mail->message.from_id) ||
                                       is_cut(group, mail->to) || chance(group, 20) == 0);
    if (is_lost || mail->to > MEMBERS || group->mail_count >= MAIL_MAX) {
        mail_free(mail);
        return;
    }
    if (!group->is_well && chance(group, 30) == 0)
        post(group, mail_new(mail->to, &mail->message));
    mail->due_ms = now(group) + LINK_MS;
    if (chance(group, 10) == 0)
        mail->due_ms += chance(group, !group->is_well && chance(group, 2) == 0 ? 300 : LINK_MS);
    list_push_back(&group->network, &mail->node);
    group->mail_count++;
}

static void deliver(struct group *group, struct mail *mail)
{
    struct member *to = &group->members[mail->to - 1];
    int rc = 0;
    if (to->consensus != NULL && (group->is_well || !is_cut(group, mail->to)))
        rc = consensus_receive(to->consensus, &mail->message);
    assert_true(rc == 0 || rc == ERR_AGAIN);
    if (rc == ERR_AGAIN && chance(group, 2) == 0) {
        mail->due_ms = now(group) + 1;
        list_push_back(&group->network, &mail->node);
        return;
    }
    group->mail_count--;
    mail_free(mail);
}

static void deliver_due(struct group *group)
{
    struct list_node due;
    list_init(&due);
    LIST_EACH(node, next, &group->network)
    {
        struct mail *mail = LIST_ENTRY(node, struct mail, node);
        if (mail->due_ms > now(group))
            continue;
        list_del(node);
        if (chance(group, 30) == 0)
            list_push_front(&due, node);
        else
            list_push_back(&due, node);
    }
    for (struct list_node *node; (node = list_pop_front(&due)) != NULL;)
        deliver(group, LIST_ENTRY(node, struct mail, node));
}

/* ---- Members ---- */

static void raise(struct group *group, struct member *member)
{
    int rc = member_start(member);
    if (rc != 0)
        print_message("member %u: %s\n", (unsigned)member->id, member->diag.text);
    assert_int_equal(rc, 0);
    simdisk_hold(member->disk, group->is_slow[member->id - 1]);
}

static void trouble(struct group *group, unsigned i)
{
    struct member *member = &group->members[i];
    if (member->consensus == NULL) {
        if (group->down_until[i] <= now(group))
            raise(group, member);
        return;
    }
    switch (chance(group, 1500)) {
    case 0:
    case 1:
    case 2:
        group->crashes++;
        group->down_until[i] = now(group) + chance(group, 500);
        member_crash(member, chance_u64(&group->source.chance));
        break;
    case 3:
    case 4:
        group->cut_until[i] = now(group) + chance(group, 600);
        break;
    case 5:
    case 6:
        group->is_slow[i] = !group->is_slow[i];
        simdisk_hold(member->disk, group->is_slow[i]);
        break;
    default:
        break;
    }
}

/* Gives one member another role, so that at least one voter is left. */
static void change_roles(struct group *group, struct member *leader)
{
    const struct configuration *now_is = &leader->consensus->members;
    struct consensus_member members[CONSENSUS_MEMBERS_MAX];
    struct buf encoded = {0};
    uint64_t index;
    unsigned which = (unsigned)chance(group, now_is->count);
    bool is_voter = now_is->members[which].role == MEMBER_VOTER;
    if (is_voter && now_is->voter_count == 1)
        return;
    memcpy(members, now_is->members, sizeof(members));
    members[which].role = is_voter ? MEMBER_STANDBY : MEMBER_VOTER;
    assert_int_equal(consensus_encode_configuration(members, now_is->count, &encoded), 0);
    group->changes += consensus_change(leader->consensus, buf_slice(&encoded), &index) == 0;
    buf_fini(&encoded);
}

/* A checkpoint where all have the entries, so that nobody needs the state itself. */
static void checkpoint(struct group *group, struct member *member)
{
    uint64_t index = member_last(member).index;
    for (unsigned i = 0; i < MEMBERS; i++) {
        const struct consensus *c = group->members[i].consensus;
        if (c == NULL || c->phase != PHASE_RUNNING || c->stored < index || c->last_index < index ||
            core_term(c, index) != core_term(member->consensus, index))
            return;
    }
    member_checkpoint(member);
}

static void work(struct group *group, struct member *member)
{
    uint64_t index;
    if (member->consensus == NULL)
        return;
    for (uint64_t n = chance(group, 3); n > 0; n--)
        if (member_submit(member, group->next_value + 1, &index) == 0)
            group->next_value++;
    if (!group->is_well && member->role == ROLE_LEADER && chance(group, 60) == 0)
        change_roles(group, member);
    if (member_last(member).index > 0 && chance(group, 100) == 0)
        checkpoint(group, member);
}

static void tick(struct group *group)
{
    simclock_advance(&group->clock, 1 + chance(group, TICK_MS));
    deliver_due(group);
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct member *member = &group->members[i];
        if (!group->is_well)
            trouble(group, i);
        work(group, member);
        if (member->consensus == NULL)
            continue;
        for (uint64_t n = group->is_slow[i] ? chance(group, 3) : 0; n > 0; n--)
            simdisk_release(member->disk);
        member_step(member);
        assert_int_equal(member->error, 0);
        for (struct mail *mail; (mail = member_take_mail(member)) != NULL;)
            post(group, mail);
    }
    if (++group->ticks % MATCH_TICKS == 0)
        check_matching(group);
}

/* ---- A run ---- */

static void init(struct group *group, uint64_t seed)
{
    *group = (struct group){0};
    simclock_init(&group->clock, 1000000);
    simchance_init(&group->source, seed);
    list_init(&group->network);
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct member *member = &group->members[i];
        member_init(member, i + 1, &group->clock, chance_u64(&group->source.chance));
        member->election_timeout_ms = ELECTION_MS;
        member->heartbeat_ms = HEARTBEAT_MS;
        member->cache_bytes = chance(group, 4) == 0 ? 0 : 256 * 1024;
        member->on_event = on_event;
        member->event_ctx = group;
        member_set_voters(member, MEMBERS);
        raise(group, member);
    }
}

static void fini(struct group *group)
{
    mail_drop(&group->network);
    for (unsigned i = 0; i < MEMBERS; i++)
        member_fini(&group->members[i]);
    mem_free(group->agreed);
}

static bool has_settled(const struct group *group, uint64_t goal)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        const struct member *member = &group->members[i];
        if (member->consensus == NULL || deliver_handed(member->consensus) < goal)
            return false;
    }
    return true;
}

/* Where everybody stands, for people. */
static void describe(const struct group *group)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        const struct consensus *c = group->members[i].consensus;
        if (c == NULL)
            continue;
        print_message(
            "member %u: role %d, term %llu, entries to %llu, stored %llu, committed %llu, "
            "handed out %llu, checkpoint %llu; voters",
            i + 1, (int)c->role, (unsigned long long)c->term, (unsigned long long)c->last_index,
            (unsigned long long)c->stored, (unsigned long long)c->commit,
            (unsigned long long)deliver_handed(c), (unsigned long long)c->checkpoint);
        for (unsigned j = 0; j < c->members.count; j++)
            if (c->members.members[j].role == MEMBER_VOTER)
                print_message(" %llu", (unsigned long long)c->members.members[j].id);
        print_message("\n");
    }
}

static void heal(struct group *group)
{
    group->is_well = true;
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct member *member = &group->members[i];
        group->is_slow[i] = false;
        simdisk_hold(member->disk, false);
        if (member->consensus == NULL)
            raise(group, member);
    }
    /* New entries get through, and all members get them. */
    uint64_t goal = group->agreed_last + 10;
    uint64_t end = now(group) + HEAL_MS;
    while (!has_settled(group, goal)) {
        if (now(group) >= end)
            describe(group);
        assert_true(now(group) < end);
        tick(group);
    }
}

struct totals {
    uint64_t entries;
    uint64_t terms;
    uint64_t changes;
    uint64_t crashes;
};

static void run(uint64_t seed, struct totals *totals)
{
    static struct group group;
    init(&group, seed);
    uint64_t end = now(&group) + RUN_MS;
    while (now(&group) < end)
        tick(&group);
    heal(&group);
    totals->entries += group.agreed_last;
    totals->terms += group.agreed[group.agreed_last].term;
    totals->changes += group.changes;
    totals->crashes += group.crashes;
    fini(&group);
}

static void three_members_agree_whatever_happens(void **state)
{
    (void)state;
    struct totals totals = {0};
    const char *text = getenv("SEEDS");
    uint64_t seeds = SEEDS;
    uint64_t seed = sim_seed();
    if (text != NULL)
        assert_true(num_parse_u64(slice_str(text), &seeds));
    for (uint64_t i = 0; i < seeds; i++) {
        if (text != NULL)
            print_message("run %llu\n", (unsigned long long)(seed + i));
        run(seed + i, &totals);
    }
    print_message("%llu entries, %llu terms, %llu changes, %llu crashes\n",
                  (unsigned long long)totals.entries, (unsigned long long)totals.terms,
                  (unsigned long long)totals.changes, (unsigned long long)totals.crashes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_members_agree_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
