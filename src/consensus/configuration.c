/* SPDX-License-Identifier: Apache-2.0 */
#include "consensus/configuration.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"

#define FORMAT_VERSION 1
/* Version and count; id, zero of the address and role of each member. */
#define HEAD_SIZE   9
#define MEMBER_SIZE 10
#define ALIGNMENT   8

STATIC_ASSERT((int)MEMBER_STANDBY == (int)RAFT_STANDBY, "roles are the library's");
STATIC_ASSERT((int)MEMBER_VOTER == (int)RAFT_VOTER, "roles are the library's");
STATIC_ASSERT((int)MEMBER_SPARE == (int)RAFT_SPARE, "roles are the library's");

static bool is_role(int role)
{
    return role == MEMBER_STANDBY || role == MEMBER_VOTER || role == MEMBER_SPARE;
}

/* Takes the member in, unless it or something like it is there already. */
static int add_member(struct configuration *conf, struct consensus_member member)
{
    size_t length = member.address == NULL ? 0 : strlen(member.address);
    if (conf->count == CONSENSUS_MEMBERS_MAX || member.id == 0 || length == 0 ||
        length > CONSENSUS_ADDRESS_MAX || !is_role((int)member.role))
        return ERR_INVALID;
    for (unsigned i = 0; i < conf->count; i++) {
        const struct consensus_member *other = &conf->members[i];
        if (other->id == member.id || strcmp(other->address, member.address) == 0)
            return ERR_INVALID;
    }
    conf->members[conf->count++] = member;
    conf->voter_count += member.role == MEMBER_VOTER;
    return 0;
}

int consensus_encode_configuration(const struct consensus_member *members, size_t count,
                                   struct buf *out)
{
    struct configuration conf = {0};
    if (count == 0)
        return ERR_INVALID;
    for (size_t i = 0; i < count; i++) {
        int rc = add_member(&conf, members[i]);
        if (rc != 0)
            return rc;
    }
    size_t start = out->len;
    uint8_t number[8];
    buf_append_byte(out, FORMAT_VERSION);
    put_u64(number, conf.count);
    buf_append(out, number, sizeof(number));
    for (unsigned i = 0; i < conf.count; i++) {
        put_u64(number, conf.members[i].id);
        buf_append(out, number, sizeof(number));
        buf_append(out, conf.members[i].address, strlen(conf.members[i].address) + 1);
        buf_append_byte(out, (uint8_t)conf.members[i].role);
    }
    while (!is_aligned(out->len - start, ALIGNMENT))
        buf_append_byte(out, 0);
    return 0;
}

/* The next member; its address ends with the first zero byte. */
static int parse_member(struct reader *reader, struct configuration *conf)
{
    struct consensus_member member = {.id = reader_u64(reader)};
    const uint8_t *zero = memchr(reader->at, 0, reader_left(reader));
    if (reader->failed || zero == NULL)
        return ERR_FORMAT;
    struct slice address = reader_bytes(reader, (size_t)(zero - reader->at) + 1);
    member.address = (const char *)address.data;
    uint8_t role = reader_u8(reader);
    if (reader->failed || !is_role(role))
        return ERR_FORMAT;
    member.role = (enum member_role)role;
    return add_member(conf, member) == 0 ? 0 : ERR_FORMAT;
}

int configuration_parse(struct slice encoded, struct configuration *out)
{
    struct configuration conf = {0};
    struct reader reader;
    if (encoded.len < HEAD_SIZE + MEMBER_SIZE || !is_aligned(encoded.len, ALIGNMENT))
        return ERR_FORMAT;
    reader_init(&reader, encoded);
    uint8_t version = reader_u8(&reader);
    uint64_t count = reader_u64(&reader);
    if (version != FORMAT_VERSION || count == 0 || count > CONSENSUS_MEMBERS_MAX)
        return ERR_FORMAT;
    for (uint64_t i = 0; i < count; i++) {
        int rc = parse_member(&reader, &conf);
        if (rc != 0)
            return rc;
    }
    size_t left = reader_left(&reader);
    if (left >= ALIGNMENT || !bytes_are_zero(reader.at, left))
        return ERR_FORMAT;
    *out = conf;
    return 0;
}

struct raft_configuration configuration_to_raft(struct slice encoded)
{
    struct configuration conf;
    struct raft_configuration result;
    int rc = configuration_parse(encoded, &conf);
    ASSERT(rc == 0); /* C9 */
    raft_configuration_init(&result);
    for (unsigned i = 0; i < conf.count; i++) {
        const struct consensus_member *member = &conf.members[i];
        int rv = raft_configuration_add(&result, member->id, member->address, (int)member->role);
        ASSERT(rv == 0); /* The rest has been checked; without memory the process ends. */
    }
    return result;
}

static const struct consensus_member *find(const struct configuration *conf, uint64_t id)
{
    for (unsigned i = 0; i < conf->count; i++)
        if (conf->members[i].id == id)
            return &conf->members[i];
    return NULL;
}

bool configuration_has(const struct configuration *conf, uint64_t id)
{
    return find(conf, id) != NULL;
}

bool configuration_is_voter(const struct configuration *conf, uint64_t id)
{
    const struct consensus_member *member = find(conf, id);
    return member != NULL && member->role == MEMBER_VOTER;
}

bool configuration_is_sole_voter(const struct configuration *conf, uint64_t id)
{
    return conf->voter_count == 1 && configuration_is_voter(conf, id);
}

static bool is_same_server(const struct consensus_member *a, const struct consensus_member *b)
{
    return a->id == b->id && strcmp(a->address, b->address) == 0;
}

/* Are the members of `larger`, the one at `skip` left out, those of `smaller`? */
static bool is_same_but(const struct configuration *larger, unsigned skip,
                        const struct configuration *smaller)
{
    for (unsigned i = 0, j = 0; i < larger->count; i++) {
        if (i == skip)
            continue;
        const struct consensus_member *a = &larger->members[i];
        const struct consensus_member *b = &smaller->members[j++];
        if (!is_same_server(a, b) || a->role != b->role)
            return false;
    }
    return true;
}

bool configuration_is_one_step(const struct configuration *from, const struct configuration *to)
{
    if (to->count == from->count + 1)
        return is_same_but(to, from->count, from);
    if (to->count + 1 == from->count) {
        for (unsigned skip = 0; skip < from->count; skip++)
            if (is_same_but(from, skip, to))
                return true;
        return false;
    }
    if (to->count != from->count)
        return false;
    unsigned changed = 0;
    for (unsigned i = 0; i < from->count; i++) {
        if (!is_same_server(&from->members[i], &to->members[i]))
            return false;
        changed += from->members[i].role != to->members[i].role;
    }
    return changed == 1;
}

bool consensus_configuration_is_valid(struct slice encoded)
{
    struct configuration conf;
    return configuration_parse(encoded, &conf) == 0;
}
