/* SPDX-License-Identifier: Apache-2.0 */
/* Random logs of several lives and segments, damaged anywhere before the frame with the entry that
 * is behind the checkpoint: the log that begins with that frame has all the others had. Spare
 * segments, which have frames of their use before, lose their headers, too. */
#include "check/repair/front.h"

#include "base/err.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "support/logworld.h"

#define ROUNDS     60
#define ACTS       160
#define FRAMES_MAX 4096

struct spot {
    uint64_t segment;
    uint64_t off;
    uint64_t sequence;
    uint32_t size;
    enum frame_kind kind;
};

struct sound {
    struct spot frames[FRAMES_MAX];
    size_t count;
    size_t first; /* with the entry behind the checkpoint; SIZE_MAX: there is none */
    uint64_t checkpoint;
    uint64_t highest_term;
};

static int note_frame(void *ctx, const struct seglog_seen *seen)
{
    struct sound *sound = ctx;
    uint64_t term = seen->term;
    assert_true(sound->count < FRAMES_MAX);
    if (seen->first_index <= sound->checkpoint + 1)
        sound->first =
            seen->first_index + seen->count > sound->checkpoint + 1 ? sound->count : SIZE_MAX;
    sound->frames[sound->count++] = (struct spot){.segment = seen->segment,
                                                  .off = seen->off,
                                                  .sequence = seen->sequence,
                                                  .size = seen->size,
                                                  .kind = seen->kind};
    if (seen->kind == FRAME_OPEN || seen->kind == FRAME_HARDSTATE)
        term = seglog_hard_state_of(seen).term;
    sound->highest_term = term > sound->highest_term ? term : sound->highest_term;
    return 0;
}

static int judge(const struct logworld *world, seglog_visit_fn visit, void *ctx,
                 struct seglog_judged *out_judged)
{
    struct diag diag = {.text = ""};
    const struct seglog_look_options options = {
        .fs = simdisk_fs(world->disk),
        .dir = world->options.dir,
        .group_id = world->options.group_id,
        .checkpoint_index = world->checkpoint_index,
        .checkpoint_term = world->checkpoint_term,
    };
    return seglog_judge(&options, visit, ctx, out_judged, &diag);
}

/* True if a frame was hit without which term and vote may not be known. */
static bool damage_some(struct logworld *world, const struct sound *sound)
{
    bool has_hit_state = false;
    uint64_t from = logworld_random(world, sound->first);
    uint64_t to = from + 1 + logworld_random(world, sound->first - from);
    for (uint64_t i = from; i < to; i++) {
        const struct spot *spot = &sound->frames[i];
        char *path = seglog_path(world->options.dir, spot->segment);
        assert_true(simdisk_corrupt(world->disk, path,
                                    spot->off + logworld_random(world, spot->size), 0x10));
        mem_free(path);
        has_hit_state |= spot->kind == FRAME_OPEN || spot->kind == FRAME_HARDSTATE;
    }
    return has_hit_state;
}

static struct folder folder_of(const struct logworld *world)
{
    return (struct folder){.fs = simdisk_fs(world->disk),
                           .dir = "",
                           .manifest = {.group_id = world->options.group_id,
                                        .index = world->checkpoint_index,
                                        .term = world->checkpoint_term}};
}

static int count_frame(void *ctx, const struct seglog_seen *seen)
{
    (void)seen;
    ++*(unsigned *)ctx;
    return 0;
}

struct visited {
    uint64_t front; /* the number of the segment with the entry behind the checkpoint */
    const struct names *names;
    const char *path;
    struct seglog_segment segment;
    uint64_t number;
    unsigned frames; /* of any use if the header is damaged */
};

typedef bool (*segment_fn)(struct logworld *world, const struct visited *visited);

/* How often `visit` says true. */
static unsigned each_segment(struct logworld *world, uint64_t front, segment_fn visit)
{
    struct fs *fs = simdisk_fs(world->disk);
    struct names names = {0};
    struct diag diag = {.text = ""};
    unsigned count = 0;
    assert_int_equal(names_read(fs, world->options.dir, &names, &diag), 0);
    for (size_t i = 0; i < names.count; i++) {
        struct visited visited = {.front = front, .names = &names};
        bool is_temporary;
        if (!seglog_parse_name(names.items[i], &visited.number, &is_temporary) || is_temporary)
            continue;
        char *path = seglog_path(world->options.dir, visited.number);
        visited.path = path;
        assert_int_equal(
            seglog_walk(fs, path, count_frame, &visited.frames, &visited.segment, &diag), 0);
        count += visit(world, &visited);
        mem_free(path);
    }
    names_fini(&names);
    return count;
}

/* True if it has frames of its use before. */
static bool damage_spare(struct logworld *world, const struct visited *visited)
{
    struct seglog_segment damaged;
    struct diag diag = {.text = ""};
    unsigned frames = 0;
    if (visited->frames > 0)
        return false;
    assert_true(simdisk_corrupt(world->disk, visited->path, 33, 0x10));
    assert_int_equal(
        seglog_walk(simdisk_fs(world->disk), visited->path, count_frame, &frames, &damaged, &diag),
        0);
    return frames > 0;
}

/* One that a start has found, and passed by, may have no older ones. */
static bool expect_void(struct logworld *world, const struct visited *visited)
{
    const struct folder folder = folder_of(world);
    struct segment_use use;
    struct diag diag = {.text = ""};
    if (visited->segment.is_header_sound || visited->number < visited->front)
        return false;
    assert_int_equal(front_find_use(&folder, visited->names, visited->number, &use, &diag), 0);
    assert_int_equal(use.begins, 0);
    return true;
}

static bool remove_damaged(struct logworld *world, const struct visited *visited)
{
    struct fs *fs = simdisk_fs(world->disk);
    if (visited->segment.is_header_sound)
        return false;
    assert_int_equal(fs_unlink(fs, visited->path), 0);
    assert_int_equal(fs_sync_dir(fs, world->options.dir), 0);
    return true;
}

static void begin_with_front(struct logworld *world, const struct sound *sound,
                             const struct seglog_judged *judged)
{
    struct fs *fs = simdisk_fs(world->disk);
    const struct folder folder = folder_of(world);
    const struct log_verdict verdict = {.judged = *judged, .seen_term = sound->highest_term};
    struct names names = {0};
    struct front front;
    struct diag diag = {.text = ""};
    assert_int_equal(names_read(fs, world->options.dir, &names, &diag), 0);
    assert_int_equal(front_find(&folder, &verdict, &names, &front, &diag), 0);
    names_fini(&names);
    assert_int_equal(front.number, sound->frames[sound->first].segment);
    assert_int_equal(front.run.sequence, sound->frames[sound->first].sequence);
    const struct seglog_mend mend = {.fs = fs, .dir = world->options.dir, .number = front.number};
    const struct seglog_beginning beginning = {.group_id = world->options.group_id,
                                               .epoch = 99,
                                               .index = world->checkpoint_index,
                                               .term = world->checkpoint_term,
                                               .node_term = front.hard_state.term,
                                               .node_vote = front.hard_state.vote};
    assert_int_equal(seglog_mend_front(&mend, &beginning, &front.run, &diag), 0);
}

struct tally {
    unsigned mended;
    unsigned spares; /* with frames of their use before, whose headers were damaged */
};

static void run_round(uint64_t seed, struct tally *tally)
{
    struct logworld world;
    struct sound *sound = mem_calloc(1, sizeof(*sound));
    struct seglog_judged judged;
    logworld_init(&world, simdisk_new(seed), seed);
    logworld_open(&world);
    for (unsigned i = 0; i < ACTS; i++)
        logworld_act(&world);
    logworld_drop(&world);
    logworld_open(&world); /* what is left is durable now */
    logworld_drop(&world);
    sound->checkpoint = world.checkpoint_index;
    sound->first = SIZE_MAX;
    assert_int_equal(judge(&world, note_frame, sound, &judged), 0);
    uint64_t last_index = judged.last_index;
    const struct seglog_hard_state state = judged.hard_state;
    if (sound->first != SIZE_MAX && sound->first > 0) {
        uint64_t front = sound->frames[sound->first].segment;
        tally->spares += each_segment(&world, front, damage_spare);
        bool has_hit_state = damage_some(&world, sound);
        /* Else nothing vouches for what was hit, or nobody needs it. */
        if (judge(&world, NULL, NULL, &judged) == ERR_CORRUPT) {
            tally->mended++;
            begin_with_front(&world, sound, &judged);
            each_segment(&world, front, expect_void);
            each_segment(&world, front, remove_damaged);
            logworld_open(&world);
            assert_int_equal(world.found.last_index, last_index);
            /* No vote is forgotten in its term. */
            assert_true(world.found.term <= sound->highest_term + 1);
            assert_true(world.found.term > state.term ||
                        (world.found.term == state.term && world.found.vote == state.vote));
            /* A new term is none that the history knows. */
            if (!has_hit_state && world.found.term == state.term)
                logworld_check(&world, 0);
        }
    }
    mem_free(sound);
    logworld_fini(&world);
}

static void test_what_is_covered_may_be_damaged(void **unused)
{
    (void)unused;
    uint64_t seed = sim_seed();
    struct tally tally = {0};
    for (unsigned i = 0; i < ROUNDS; i++)
        run_round(seed + i, &tally);
    print_message("%u of %d mended, %u spares\n", tally.mended, ROUNDS, tally.spares);
    assert_true(tally.mended > ROUNDS * 3 / 4); /* mostly 55 to 60 */
    assert_true(tally.spares > ROUNDS / 4);     /* mostly 40 to 60 */
}

/* The vote is lost, and nothing behind it repeats it. */
static void test_no_vote_is_forgotten_in_its_term(void **unused)
{
    (void)unused;
    struct logworld world;
    struct sound *sound = mem_calloc(1, sizeof(*sound));
    struct seglog_judged judged;
    logworld_init(&world, simdisk_new(7), 7);
    logworld_open(&world);
    assert_int_equal(logworld_prepare(&world), 0);
    assert_true(logworld_append(&world, 4, 300));
    logworld_settle(&world);
    uint64_t term = world.term + 1;
    logworld_hard_state(&world, term, 3);
    logworld_settle(&world);
    logworld_checkpoint(&world, 4);
    assert_true(logworld_append(&world, 4, 300));
    logworld_settle(&world);
    logworld_drop(&world);
    sound->checkpoint = world.checkpoint_index;
    sound->first = SIZE_MAX;
    assert_int_equal(judge(&world, note_frame, sound, &judged), 0);
    assert_int_equal(judged.hard_state.vote, 3);
    for (size_t i = 0; i < sound->first; i++) {
        const struct spot *spot = &sound->frames[i];
        char *path = seglog_path(world.options.dir, spot->segment);
        if (spot->kind == FRAME_HARDSTATE)
            assert_true(simdisk_corrupt(world.disk, path, spot->off + 70, 0x10));
        mem_free(path);
    }
    assert_int_equal(judge(&world, NULL, NULL, &judged), ERR_CORRUPT);
    begin_with_front(&world, sound, &judged);
    logworld_open(&world);
    assert_int_equal(world.found.last_index, 8);
    assert_int_equal(world.found.term, term + 1);
    assert_int_equal(world.found.vote, 0);
    mem_free(sound);
    logworld_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_covered_may_be_damaged),
        cmocka_unit_test(test_no_vote_is_forgotten_in_its_term),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
