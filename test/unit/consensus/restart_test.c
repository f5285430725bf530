/* SPDX-License-Identifier: Apache-2.0 */
/* One voter over many lives: power losses anywhere, and any write failing. What was handed out
 * comes again, the same and in order, from the checkpoint on; the term always rises. */
#include "consensus/consensus.h"

#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/member.h"

#ifdef FERRIC_SANITIZED
#    define RUNS 6
#else
#    define RUNS 60
#endif
#define LIVES         4
#define ENTRIES       40
#define IMAGES        12
#define MANIFESTS     64
#define NOTE_HANDED   0
#define NOTE_TERM     1
#define NOTE_MANIFEST 2
#define FAULT_ENTRIES 12

static struct simclock clock_of_test;

struct manifest {
    uint64_t index;
    uint64_t term;
    uint64_t configuration_index;
    struct buf configuration;
};

/* What has been told to the world: values by index, from 1. */
struct world {
    uint64_t *values;
    uint64_t known; /* highest index that was handed out in a life that counts */
    uint64_t cap;
    struct manifest manifests[MANIFESTS];
    unsigned manifest_count;
};

static uint64_t value_of(uint64_t life, uint64_t index)
{
    return life * 1000000 + index;
}

static void world_fini(struct world *world)
{
    for (unsigned i = 0; i < world->manifest_count; i++)
        buf_fini(&world->manifests[i].configuration);
    mem_free(world->values);
}

static void remember(struct world *world, const struct handed *handed)
{
    if (handed->index >= world->cap) {
        world->cap = 2 * handed->index + 16;
        world->values = mem_realloc(world->values, world->cap * sizeof(*world->values));
    }
    world->values[handed->index] = handed->value;
}

static void on_event(struct member *m, void *ctx)
{
    struct world *world = ctx;
    if (m->handed_count > 0) {
        remember(world, &m->handed[m->handed_count - 1]);
        simdisk_note(m->disk, NOTE_HANDED, member_last(m).index);
    }
    if (m->role == ROLE_LEADER)
        simdisk_note(m->disk, NOTE_TERM, m->term);
}

static void save_manifest(struct world *world, struct member *m)
{
    if (world->manifest_count == MANIFESTS)
        return;
    struct manifest *manifest = &world->manifests[world->manifest_count++];
    manifest->index = m->checkpoint_index;
    manifest->term = m->checkpoint_term;
    manifest->configuration_index = m->configuration_index;
    manifest->configuration = (struct buf){0};
    buf_append_slice(&manifest->configuration, buf_slice(&m->configuration));
    simdisk_note(m->disk, NOTE_MANIFEST, world->manifest_count - 1);
}

static void load_manifest(const struct world *world, unsigned number, struct member *m)
{
    const struct manifest *manifest = &world->manifests[number];
    m->checkpoint_index = manifest->index;
    m->checkpoint_term = manifest->term;
    m->configuration_index = manifest->configuration_index;
    buf_reset(&m->configuration, 0);
    buf_append_slice(&m->configuration, buf_slice(&manifest->configuration));
}

static unsigned chance(struct simchance *source, unsigned limit)
{
    return (unsigned)(chance_u64(&source->chance) % limit);
}

/* Submits entries with steps, checkpoints and idle times between them, as chance will have it. */
static void live(struct world *world, struct member *m, struct simchance *source, uint64_t life)
{
    uint64_t index;
    for (unsigned i = 0; i < ENTRIES;) {
        struct frame *frame = member_frame(value_of(life, consensus_next_index(m->consensus)),
                                           8 + chance(source, 9000));
        if (consensus_submit(m->consensus, frame, &index) == 0)
            i++;
        frame_unref(frame);
        unsigned what = chance(source, 20);
        if (what < 10)
            member_step(m);
        if (what == 10)
            member_settle(m);
        if (what == 11)
            member_run(m, 1500);
        if (what == 12) {
            member_checkpoint(m);
            save_manifest(world, m);
        }
    }
}

/* Starts `m` on its disk and compares with what is known. */
static void check_life(const struct world *world, struct member *m, uint64_t known, uint64_t term)
{
    int rc = member_start(m);
    if (rc != 0)
        print_message("%s\n", m->diag.text);
    assert_int_equal(rc, 0);
    member_settle(m);
    assert_int_equal(m->role, ROLE_LEADER);
    assert_true(m->term > term);
    assert_true(consensus_is_ready(m->consensus));
    assert_false(m->is_order_broken);
    assert_true(m->checkpoint_index + m->handed_count >= known);
    for (size_t i = 0; i < m->handed_count; i++) {
        const struct handed *handed = &m->handed[i];
        assert_int_equal(handed->index, m->checkpoint_index + 1 + i);
        if (handed->index <= known)
            assert_int_equal(handed->value, world->values[handed->index]);
    }
}

static void init(struct member *m, uint64_t seed)
{
    simclock_init(&clock_of_test, 1000000);
    member_init(m, 1, &clock_of_test, seed);
}

/* Images of a life at moments of chance, each started and compared. */
static void check_images(const struct world *world, const struct member *m,
                         struct simchance *source)
{
    for (unsigned i = 0; i < IMAGES; i++) {
        struct member other;
        uint64_t step = chance_u64(&source->chance) % (simdisk_steps(m->disk) + 1);
        uint64_t known = simdisk_noted(m->disk, NOTE_HANDED, step);
        uint64_t term = simdisk_noted(m->disk, NOTE_TERM, step);
        init(&other, chance_u64(&source->chance));
        simdisk_free(other.disk);
        other.disk = simdisk_image(m->disk, step, chance_u64(&source->chance));
        load_manifest(world, (unsigned)simdisk_noted(m->disk, NOTE_MANIFEST, step), &other);
        check_life(world, &other, known, term);
        member_fini(&other);
    }
}

static void run_lives(uint64_t seed)
{
    struct world world = {0};
    struct simchance source;
    struct member m;
    uint64_t term = 0;
    simchance_init(&source, seed);
    init(&m, seed);
    save_manifest(&world, &m);
    for (uint64_t life = 1; life <= LIVES; life++) {
        simdisk_note(m.disk, NOTE_HANDED, world.known);
        simdisk_note(m.disk, NOTE_TERM, term);
        simdisk_note(m.disk, NOTE_MANIFEST, world.manifest_count - 1);
        check_life(&world, &m, world.known, term);
        m.on_event = on_event;
        m.event_ctx = &world;
        for (size_t i = 0; i < m.handed_count; i++)
            remember(&world, &m.handed[i]);
        simdisk_note(m.disk, NOTE_HANDED, m.checkpoint_index + m.handed_count);
        simdisk_note(m.disk, NOTE_TERM, m.term);
        live(&world, &m, &source, life);
        check_images(&world, &m, &source);
        term = m.term;
        world.known = member_last(&m).index > 0 ? member_last(&m).index : m.checkpoint_index;
        m.on_event = NULL;
        member_crash(&m, chance_u64(&source.chance));
    }
    check_life(&world, &m, world.known, term);
    member_fini(&m);
    world_fini(&world);
}

static void nothing_handed_out_is_lost_by_power_losses(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t i = 0; i < RUNS; i++)
        run_lives(seed + i);
}

/* Runs a short life in which the nth write fails; true if it got so far. */
static bool run_with_failure(uint64_t nth, uint64_t seed)
{
    struct world world = {0};
    struct simchance source;
    struct member m;
    uint64_t index;
    simchance_init(&source, seed);
    init(&m, seed);
    m.on_event = on_event;
    m.event_ctx = &world;
    simdisk_fail_nth(m.disk, SIM_AIO, NULL, nth, nth % 2 == 0 ? -EIO : -ENOSPC);
    int rc = member_start(&m);
    assert_int_equal(rc, 0);
    for (unsigned i = 0; i < FAULT_ENTRIES && m.error == 0;) {
        rc = member_submit(&m, value_of(1, consensus_next_index(m.consensus)), &index);
        if (rc == 0)
            i++;
        if (rc != 0 || chance(&source, 2) == 0)
            member_step(&m);
    }
    member_settle(&m);
    bool has_failed = m.error != 0;
    assert_int_equal(has_failed, simdisk_fault_fired(m.disk));
    if (has_failed) {
        assert_int_equal(m.role, ROLE_FAILED);
        assert_true(m.unknown_events == 0 || m.unknown_from == member_last(&m).index + 1);
        assert_int_equal(member_submit(&m, 1, &index), ERR_LOG_FAILED);
    }
    uint64_t known = member_last(&m).index;
    uint64_t term = m.term;
    m.on_event = NULL;
    member_crash(&m, seed);
    check_life(&world, &m, known, known == 0 ? 0 : term);
    member_fini(&m);
    world_fini(&world);
    return has_failed;
}

static void every_write_may_fail_once(void **state)
{
    (void)state;
    uint64_t seed = sim_seed();
    for (uint64_t repeat = 0; repeat < RUNS / 2; repeat++) {
        uint64_t nth = 1;
        while (run_with_failure(nth, seed + repeat))
            nth++;
        assert_true(nth > FAULT_ENTRIES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_handed_out_is_lost_by_power_losses),
        cmocka_unit_test(every_write_may_fail_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
