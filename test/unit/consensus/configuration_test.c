/* SPDX-License-Identifier: Apache-2.0 */
#include "consensus/configuration.h"

#include <raft.h>

#include "base/err.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/member.h"

#define MUTATIONS 20000

static const struct consensus_member three[] = {
    {1, "10.0.0.1:6379", MEMBER_VOTER},
    {0x1122334455667788, "b", MEMBER_STANDBY},
    {3, "c.example", MEMBER_SPARE},
};

static struct buf encode(const struct consensus_member *members, size_t count)
{
    struct buf out = {0};
    assert_int_equal(consensus_encode_configuration(members, count, &out), 0);
    return out;
}

static void encoded_form_is_the_librarys(void **state)
{
    (void)state;
    struct buf ours = encode(three, 3);
    struct raft_configuration conf;
    struct raft_buffer theirs;
    raft_configuration_init(&conf);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            raft_configuration_add(&conf, three[i].id, three[i].address, (int)three[i].role), 0);
    assert_int_equal(raft_configuration_encode(&conf, &theirs), 0);
    assert_int_equal(ours.len, theirs.len);
    assert_memory_equal(ours.data, theirs.base, ours.len);
    raft_free(theirs.base);
    raft_configuration_close(&conf);
    conf = configuration_to_raft(buf_slice(&ours));
    assert_int_equal(conf.n, 3);
    assert_int_equal(conf.servers[1].id, three[1].id);
    assert_int_equal(conf.servers[1].role, RAFT_STANDBY);
    assert_string_equal(conf.servers[2].address, "c.example");
    raft_configuration_close(&conf);
    buf_fini(&ours);
}

static void encoded_form_is_what_it_was(void **state)
{
    (void)state;
    static const uint8_t frozen[] = {1, 1, 0, 0, 0, 0,   0, 0, 0, 7, 0, 0,
                                     0, 0, 0, 0, 0, 'a', 0, 1, 0, 0, 0, 0};
    struct consensus_member member = {7, "a", MEMBER_VOTER};
    struct buf encoded = encode(&member, 1);
    assert_int_equal(encoded.len, sizeof(frozen));
    assert_memory_equal(encoded.data, frozen, sizeof(frozen));
    buf_fini(&encoded);
}

static void what_is_parsed_is_what_was_encoded(void **state)
{
    (void)state;
    struct buf encoded = encode(three, 3);
    struct configuration conf;
    assert_int_equal(configuration_parse(buf_slice(&encoded), &conf), 0);
    assert_int_equal(conf.count, 3);
    assert_int_equal(conf.voter_count, 1);
    assert_true(configuration_has(&conf, 3));
    assert_false(configuration_has(&conf, 4));
    assert_true(configuration_is_sole_voter(&conf, 1));
    assert_false(configuration_is_sole_voter(&conf, 3));
    assert_string_equal(conf.members[0].address, "10.0.0.1:6379");
    buf_fini(&encoded);
    encoded = member_configuration(CONSENSUS_MEMBERS_MAX, 0);
    assert_int_equal(configuration_parse(buf_slice(&encoded), &conf), 0);
    assert_int_equal(conf.voter_count, CONSENSUS_MEMBERS_MAX);
    buf_fini(&encoded);
}

static void refused(struct consensus_member a, struct consensus_member b, size_t count)
{
    struct consensus_member members[2] = {a, b};
    struct buf out = {0};
    assert_int_equal(consensus_encode_configuration(members, count, &out), ERR_INVALID);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

static void senseless_members_are_refused(void **state)
{
    (void)state;
    char name[CONSENSUS_ADDRESS_MAX + 2];
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    struct consensus_member good = {1, "a", MEMBER_VOTER};
    refused(good, good, 0);
    refused((struct consensus_member){0, "a", MEMBER_VOTER}, good, 1);
    refused((struct consensus_member){1, NULL, MEMBER_VOTER}, good, 1);
    refused((struct consensus_member){1, "", MEMBER_VOTER}, good, 1);
    refused((struct consensus_member){1, name, MEMBER_VOTER}, good, 1);
    refused((struct consensus_member){1, "a", (enum member_role)3}, good, 1);
    refused(good, (struct consensus_member){1, "b", MEMBER_VOTER}, 2);
    refused(good, (struct consensus_member){2, "a", MEMBER_VOTER}, 2);
    struct consensus_member many[CONSENSUS_MEMBERS_MAX + 1] = {good};
    struct buf out = {0};
    assert_int_equal(consensus_encode_configuration(many, CONSENSUS_MEMBERS_MAX + 1, &out),
                     ERR_INVALID);
}

static void damaged_bytes_are_refused(void **state)
{
    (void)state;
    struct buf encoded = encode(three, 3);
    struct configuration conf;
    for (size_t len = 0; len < encoded.len; len++) {
        uint8_t *part = mem_dup(encoded.data, len);
        assert_int_equal(configuration_parse(slice_of(part, len), &conf), ERR_FORMAT);
        mem_free(part);
    }
    struct simchance source;
    simchance_init(&source, sim_seed());
    for (int i = 0; i < MUTATIONS; i++) {
        uint8_t *copy = mem_dup(encoded.data, encoded.len);
        for (uint64_t changes = 1 + chance_u64(&source.chance) % 3; changes > 0; changes--)
            copy[chance_u64(&source.chance) % encoded.len] = (uint8_t)chance_u64(&source.chance);
        /* Either refused, or a configuration whose one encoded form this is. */
        if (configuration_parse(slice_of(copy, encoded.len), &conf) == 0) {
            struct buf again = encode(conf.members, conf.count);
            assert_int_equal(again.len, encoded.len);
            assert_memory_equal(again.data, copy, encoded.len);
            buf_fini(&again);
        }
        mem_free(copy);
    }
    buf_fini(&encoded);
}

static bool is_one_step(const char *from, const char *to)
{
    struct configuration conf[2] = {0};
    const char *const texts[2] = {from, to};
    static const char *const addresses[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 2; i++)
        for (const char *at = texts[i]; *at != '\0'; at += 2) {
            struct consensus_member *member = &conf[i].members[conf[i].count++];
            member->id = (uint64_t)(at[0] - '0');
            member->address = addresses[member->id];
            member->role = at[1] == 'v' ? MEMBER_VOTER : MEMBER_STANDBY;
        }
    return configuration_is_one_step(&conf[0], &conf[1]);
}

static void only_single_steps_are_steps(void **state)
{
    (void)state;
    assert_true(is_one_step("1v", "1v2v"));
    assert_true(is_one_step("1v2v", "1v"));
    assert_true(is_one_step("1v2v", "2v"));
    assert_true(is_one_step("1v2v3s", "1v3s"));
    assert_true(is_one_step("1v2s", "1v2v"));
    assert_true(is_one_step("1v2v", "1s2v"));
    assert_false(is_one_step("1v", "1v"));
    assert_false(is_one_step("1v", "1v2v3v"));
    assert_false(is_one_step("1v2v3v", "1v"));
    assert_false(is_one_step("1v2v", "1v3v"));
    assert_false(is_one_step("1v2v", "2v1v"));
    assert_false(is_one_step("1v2v", "3v1v2v"));
    assert_false(is_one_step("1v2v", "1s2v3v"));
    assert_false(is_one_step("1v2v3v", "1s2v"));
    assert_false(is_one_step("1v2v", "1s2s"));
    assert_false(is_one_step("1v2v3v", "1v2v3v"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoded_form_is_the_librarys),
        cmocka_unit_test(encoded_form_is_what_it_was),
        cmocka_unit_test(what_is_parsed_is_what_was_encoded),
        cmocka_unit_test(senseless_members_are_refused),
        cmocka_unit_test(damaged_bytes_are_refused),
        cmocka_unit_test(only_single_steps_are_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
