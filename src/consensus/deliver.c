/* SPDX-License-Identifier: Apache-2.0 */
/* Committed entries handed out, and what happens when the log fails. */
#include "consensus/consensus_internal.h"

#include "base/assert.h"
#include "base/err.h"

uint64_t deliver_limit(const struct consensus *c)
{
    return c->commit < c->stored ? c->commit : c->stored; /* rules E and F */
}

uint64_t deliver_handed(const struct consensus *c)
{
    return c->delivery.next - 1;
}

/* What the log says above the checkpoint is true only if it passes for a configuration. */
static int take_configuration(struct consensus *c, const struct log_entry *entry)
{
    struct configuration conf;
    if (configuration_parse(entry->payload, &conf) != 0)
        return diag_set(&c->failure, ERR_CORRUPT, "entry %llu is no valid configuration",
                        (unsigned long long)entry->index);
    change_set(&c->committed, entry->index, entry->payload);
    if (c->phase != PHASE_FAILED)
        seglog_set_configuration(c->log, entry->index, entry->payload);
    return 0;
}

static int hand_out(struct consensus *c, uint64_t limit)
{
    struct log_entry entry;
    while (cursor_take(c, &c->delivery, limit, &entry)) {
        ASSERT(entry.index <= c->commit && entry.index <= c->stored); /* C3 */
        int rc = entry.type == ENTRY_CHANGE ? take_configuration(c, &entry) : 0;
        if (rc != 0)
            return rc;
        c->events->on_commit(c->ctx, &entry, c->delivery.frame);
    }
    return 0;
}

bool deliver_step(struct consensus *c, size_t budget_bytes)
{
    uint64_t limit = deliver_limit(c);
    size_t read_bytes = 0;
    int rc = c->is_unreadable ? 0 : hand_out(c, limit);
    while (rc == 0 && !c->is_unreadable && c->delivery.next <= limit) {
        if (read_bytes >= budget_bytes && read_bytes > 0)
            return true;
        rc = cursor_load(c, &c->delivery, &read_bytes, &c->failure);
        if (rc == ERR_NOT_FOUND)
            rc = diag_set(&c->failure, ERR_CORRUPT, "the log has lost entry %llu",
                          (unsigned long long)c->delivery.next);
        if (rc == 0)
            rc = hand_out(c, limit);
    }
    if (rc != 0) {
        c->is_unreadable = true;
        deliver_fail(c, rc);
    }
    return false;
}

/* What the disk had done before is taken in by now: the limit is final. */
void deliver_fail(struct consensus *c, int error)
{
    if (c->phase == PHASE_FAILED)
        return;
    bool was_leader = c->role == ROLE_LEADER;
    if (c->failure.text[0] == '\0')
        diag_set(&c->failure, error, "the log has failed: %s", err_text(error));
    c->phase = PHASE_FAILED;
    c->error = error;
    c->role = ROLE_FAILED;
    c->outbox_count = 0;
    peers_reset(c);
    if (was_leader)
        c->events->on_unknown(c->ctx, deliver_limit(c) + 1, error); /* C7, R30 */
    c->events->on_role(c->ctx, ROLE_FAILED, c->term);
}
