/* SPDX-License-Identifier: Apache-2.0 */
/* Rot: a directory with all kinds of files in it is prepared once; then, in a copy of it each time,
 * one byte of one block of one file is flipped, and the node is started on that (P5).
 *
 * Either the start is refused, in words that name the file and an offset; or the node serves, and
 * then nothing it says is wrong: every key is there with its value or with an error that names the
 * damaged file and an offset, and no other is. What counts must be found by somebody: by the start,
 * by the read of the key, or by upkeep (a merge of the
 * file, the scan for its hint). What does not count is without effect.
 *
 * A directory is left by a crash, with log behind its checkpoint; another by a stop, with hints for
 * all files. In `make test` one block in so many is flipped, beginning with one of chance; ROT=all
 * flips one byte in every block. With SEED=<n> and ROT=<how>:<path>:<offset>:<mask>, as a failure
 * names it, one byte is flipped.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "store/manifest.h"
#include "support/cmocka.h"
#include "support/simscript.h"

#define BLOCK         4096
#define FIRST_SEGMENT SIMNODE_DIR "/log/00000000000000000001.seg"
#define KEEPERS       120         /* sent at a time */
#define MAX_SIZE      (24u << 20) /* of the whole directory */
#ifdef FERRIC_SANITIZED
#    define FLIPS 20
#else
#    define FLIPS 100
#endif

struct past {
    uint64_t seed;
    const char *how; /* it ended: "crashed" or "stopped" */
    struct simnode_options options;
    struct simdisk *disk; /* as it was left */
    struct simmodel *state;
    struct manifest manifest;
    struct buf paths; /* of all files, each ended by a zero */
    uint64_t bytes;
};

enum file_kind { FILE_DATA, FILE_HINT, FILE_LOG, FILE_MANIFEST, FILE_KINDS };

enum finder {
    FOUND_BY_START,
    FOUND_BY_REMARK,
    FOUND_BY_READ,
    FOUND_BY_UPKEEP,
    WITHOUT_EFFECT,
    FINDERS
};

static const char *const finder_names[FINDERS] = {
    [FOUND_BY_START] = "found by the start",
    [FOUND_BY_REMARK] = "told by the start, which did without",
    [FOUND_BY_READ] = "found by a read",
    [FOUND_BY_UPKEEP] = "found by a merge or the scan for a hint",
    [WITHOUT_EFFECT] = "without effect",
};

struct rot {
    struct past *past;
    const char *path;
    enum file_kind kind;
    uint64_t off;
    uint8_t mask;
    bool counts; /* of a data file: the manifest names the byte; of a hint: it names the file */
    unsigned unreadable;
};

/* ---- A directory with a past ---- */

static struct simnode_options options_of(uint64_t seed)
{
    return (struct simnode_options){
        .seed = seed,
        .shard_count = 3,
        .segment_size = 256u << 10,
        .max_file_size = 32u << 10,
        .hot_max_value = 64,
        .merge = {.dead_percent = 60, .small_file_bytes = 4u << 10, .min_files = 3, .max_files = 2},
    };
}

static int add_name(void *ctx, const char *name)
{
    buf_append(ctx, name, strlen(name) + 1);
    return 0;
}

static void add_files_below(struct past *past, const char *dir)
{
    struct fs *fs = simdisk_fs(past->disk);
    struct buf names = {0};
    char path[128];
    assert_int_equal(fs_list(fs, dir, add_name, &names), 0);
    for (size_t at = 0; at < names.len;) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        struct fs_stat st;
        snprintf(path, sizeof(path), "%s/%.60s", dir, name);
        assert_int_equal(fs_stat(fs, path, &st), 0);
        if (st.is_dir && strchr(path + strlen(SIMNODE_DIR "/data/"), '/') != NULL)
            fail_msg("%s is an unknown folder", path);
        if (!st.is_dir)
            buf_append(&past->paths, path, strlen(path) + 1);
        past->bytes += st.size;
    }
    buf_fini(&names);
}

static void list_files(struct past *past)
{
    char dir[64];
    add_files_below(past, SIMNODE_DIR "/log");
    for (uint32_t i = 0; i < past->options.shard_count; i++) {
        snprintf(dir, sizeof(dir), SIMNODE_DIR "/data/shard_%u", i);
        add_files_below(past, dir);
    }
    buf_append(&past->paths, SIMNODE_DIR "/manifest", sizeof(SIMNODE_DIR "/manifest"));
}

static void expect_everything_is_there(struct simnode *node)
{
    simnode_advance(node, 1000);
    struct group_stats stats = simnode_stats(node);
    assert_true(stats.checkpoints >= 3);
    assert_true(stats.merges >= 3);
    assert_true(stats.hints_written >= 4);
    assert_true(stats.data_files >= 6);
    assert_true(stats.log_recycled >= 2);
}

/* Values that stay, so that there are files worth keeping beside those that are merged. */
static void send_keepers(struct simnode *node, unsigned db, struct random *random, unsigned first)
{
    char text[3000];
    for (unsigned i = 0; i < KEEPERS; i++) {
        int len = snprintf(text, sizeof(text), "@%u SET keep%u ", db, first + i);
        size_t size = 40 + (size_t)random_below(random, 2000);
        memset(text + len, 'a' + (int)(i % 26), size);
        text[(size_t)len + size] = '\0';
        simnode_send(node, 1, text);
        if (i % 8 == 0)
            assert_true(simnode_settle(node));
    }
    assert_true(simnode_settle(node));
}

/* What only the log has. */
static void send_late(struct simnode *node)
{
    char text[64];
    for (unsigned i = 0; i < 60; i++) {
        snprintf(text, sizeof(text), i % 2 == 0 ? "@2 APPEND keep%u late" : "INCR late%u", i);
        simnode_send(node, 0, text);
        assert_true(simnode_settle(node));
    }
}

static void past_init(struct past *past, uint64_t seed, const char *how)
{
    struct simscript script;
    struct random random = {.state = seed};
    *past = (struct past){.seed = seed, .how = how, .options = options_of(seed)};
    struct simdisk *disk = simnode_disk(seed);
    struct simnode *node = simnode_start(&past->options, disk);
    simscript_init(&script, seed);
    script.time_ms = 0;
    script.has_absolute = true;
    for (unsigned i = 0; i < 4; i++) {
        simscript_run(&script, node, 150);
        assert_true(simnode_settle(node));
        node->job_delay = 0;
        send_keepers(node, 2, &random, 0); /* again and again: work for merges */
        send_keepers(node, 2, &random, i * KEEPERS);
        for (unsigned j = 0; j < 3; j++)
            simnode_advance(node, 6000); /* hints, merges */
        assert_int_equal(simnode_checkpoint(node), 0);
    }
    send_late(node);
    expect_everything_is_there(node);
    simnode_advance(node, 1500); /* so that the log's end is vouched for */
    past->state = simhistory_state(node->history, simhistory_count(node->history));
    past->options.wall_ms = simnode_now_ms(node) + 2000;
    if (strcmp(how, "stopped") == 0)
        assert_int_equal(simnode_stop(node, true), 0);
    else
        assert_true(simnode_stats(node).commit_index > simnode_stats(node).checkpoint_index + 10);
    past->disk = simdisk_image_all(disk, simdisk_steps(disk));
    simnode_close(node);
    simscript_fini(&script);
    simdisk_free(disk);
    struct diag diag = {.text = ""};
    assert_int_equal(manifest_load(simdisk_fs(past->disk), SIMNODE_DIR, &past->manifest, &diag), 0);
    list_files(past);
    assert_true(past->bytes <= MAX_SIZE);
}

static void past_fini(struct past *past)
{
    manifest_fini(&past->manifest);
    buf_fini(&past->paths);
    simmodel_free(past->state);
    simdisk_free(past->disk);
}

/* ---- One byte ---- */

static void fail_rot(const struct rot *rot, const char *what)
{
    fail_msg("seed %llu, rot %s:%s:%llu:%u: %s", (unsigned long long)rot->past->seed,
             rot->past->how, rot->path, (unsigned long long)rot->off, rot->mask, what);
}

static enum file_kind kind_of(const char *path)
{
    if (strstr(path, ".hint") != NULL)
        return FILE_HINT;
    if (strstr(path, SIMNODE_DIR "/data/") != NULL)
        return FILE_DATA;
    return strstr(path, "/log/") != NULL ? FILE_LOG : FILE_MANIFEST;
}

/* How far the manifest names the file; 0: not at all. */
static uint64_t named_length(const struct past *past, const char *path)
{
    unsigned shard = 0;
    unsigned id = 0;
    assert_int_equal(sscanf(path, SIMNODE_DIR "/data/shard_%u/%u", &shard, &id), 2);
    const struct manifest_shard *files = &past->manifest.shards[shard];
    for (size_t i = 0; i < files->file_count; i++) {
        if (files->files[i].id == id)
            return files->files[i].length;
    }
    return 0;
}

/* Words that say where: the file, an offset in it, and of the log which entries. The manifest is
 * right as a whole or not at all. */
static bool is_named(const struct rot *rot, const char *text)
{
    if (strstr(text, rot->path) == NULL)
        return false;
    if (rot->kind == FILE_LOG && strstr(text, "entries") == NULL)
        return false;
    return rot->kind == FILE_MANIFEST || strstr(text, "offset ") != NULL;
}

static void expect_named(const struct rot *rot, const char *text)
{
    if (!is_named(rot, text))
        fail_rot(rot, text);
}

/* ---- What is served ---- */

struct reading {
    struct rot *rot;
    struct simnode *node;
    struct buf text;
    struct buf expected;
};

/* True if the reply is the expected one, false if it is an error that says where. */
static bool ask_and_expect(struct reading *reading)
{
    buf_append_byte(&reading->text, 0);
    buf_append_byte(&reading->expected, 0);
    const char *reply = simnode_ask(reading->node, (const char *)reading->text.data);
    bool is_right = strcmp(reply, (const char *)reading->expected.data) == 0;
    if (!is_right && strncmp(reply, "-ERR ", 5) != 0)
        fail_rot(reading->rot, reply);
    if (!is_right)
        expect_named(reading->rot, reply);
    reading->text.len = 0;
    reading->expected.len = 0;
    return is_right;
}

static void read_key(void *ctx, uint16_t db, struct slice key, struct slice value,
                     uint64_t expire_at_ms)
{
    struct reading *reading = ctx;
    long long expected_ms = expire_at_ms == 0 ? -1 : (long long)expire_at_ms;
    buf_append_format(&reading->text, "@%u GET %.*s", db, SLICE_FMT(key));
    buf_append_format(&reading->expected, "$%zu\r\n%.*s\r\n", value.len, SLICE_FMT(value));
    bool is_read = ask_and_expect(reading);
    /* What is known without the value stays right. */
    buf_append_format(&reading->text, "@%u PEXPIRETIME %.*s", db, SLICE_FMT(key));
    buf_append_format(&reading->expected, ":%lld\r\n", expected_ms);
    assert_true(ask_and_expect(reading));
    if (is_read)
        return;
    /* A command that needs the value is refused and changes nothing (P4, R19). */
    reading->rot->unreadable++;
    buf_append_format(&reading->text, "@%u APPEND %.*s x", db, SLICE_FMT(key));
    assert_false(ask_and_expect(reading));
    buf_append_format(&reading->text, "@%u STRLEN %.*s", db, SLICE_FMT(key));
    buf_append_format(&reading->expected, ":%zu\r\n", value.len);
    assert_true(ask_and_expect(reading));
}

static void read_everything(struct rot *rot, struct simnode *node)
{
    struct reading reading = {.rot = rot, .node = node};
    const struct simmodel *state = rot->past->state;
    rot->unreadable = 0;
    for (uint16_t db = 0; db < node->options.database_count; db++) {
        char expected[32];
        buf_append_format(&reading.text, "@%u KEYS *", db);
        buf_append_byte(&reading.text, 0);
        snprintf(expected, sizeof(expected), "*%zu\r\n",
                 simmodel_count(state, db, simnode_now_ms(node)));
        const char *reply = simnode_ask(node, (const char *)reading.text.data);
        if (strncmp(reply, expected, strlen(expected)) != 0)
            fail_rot(rot, "keys are missing, or others are there");
        reading.text.len = 0;
    }
    simmodel_visit(state, simnode_now_ms(node), read_key, &reading);
    buf_fini(&reading.text);
    buf_fini(&reading.expected);
    if (rot->unreadable > 1)
        fail_rot(rot, "one byte has made several keys unreadable");
}

/* ---- Who finds it ---- */

static bool has_told(const struct rot *rot, struct simnode *node)
{
    if (node->told.len == 0)
        return false;
    buf_append_byte(&node->told, 0);
    expect_named(rot, (const char *)node->told.data);
    return true;
}

/* All files are sealed and all that can be merged are; the rotten one is met on the way and not
 * merged. */
static bool is_found_by_upkeep(const struct rot *rot, struct simnode *node)
{
    struct random random = {.state = rot->off};
    struct merge_settings settings = rot->past->options.merge;
    settings.max_files = 64;
    settings.dead_percent = 0;
    group_set_merge(node->group, &settings);
    node->told.len = 0;
    for (unsigned i = 0; i < 2; i++) {
        send_keepers(node, 1, &random, 0);
        simnode_ask(node, "@1 FLUSHDB");
        group_merge(node->group);
        for (unsigned j = 0; j < 4; j++) /* who finds another shard at it comes back later */
            simnode_advance(node, 6000);
        if (has_told(rot, node))
            return true;
    }
    return false;
}

static enum finder look(struct rot *rot, struct simnode *node)
{
    if (node->told.len > 0 && rot->kind == FILE_HINT) {
        expect_named(rot, node->last_log);
        read_everything(rot, node);
        assert_int_equal(rot->unreadable, 0);
        return FOUND_BY_REMARK;
    }
    read_everything(rot, node);
    if (rot->unreadable > 0)
        return FOUND_BY_READ;
    if (rot->kind == FILE_DATA && is_found_by_upkeep(rot, node))
        return FOUND_BY_UPKEEP;
    return WITHOUT_EFFECT;
}

static enum finder try_rot(struct rot *rot)
{
    struct diag diag = {.text = ""};
    struct simnode_options options = rot->past->options;
    struct simdisk *image = simdisk_image_all(rot->past->disk, 0);
    enum finder finder = FOUND_BY_START;
    options.shard_count = 0;
    options.merge = (struct merge_settings){.mode = MERGE_OFF};
    assert_true(simdisk_corrupt(image, rot->path, rot->off, rot->mask));
    struct simnode *node = simnode_open(&options, image, &diag);
    if (node == NULL) {
        expect_named(rot, diag.text);
    } else if (!simnode_wait_ready(node)) {
        expect_named(rot, node->fatal);
    } else {
        finder = look(rot, node);
        /* The state is what it was, whoever has looked at it. */
        read_everything(rot, node);
    }
    simnode_close(node);
    simdisk_free(image);
    return finder;
}

static void expect_found(const struct rot *rot, enum finder finder)
{
    if (rot->kind == FILE_MANIFEST && finder != FOUND_BY_START)
        fail_rot(rot, "a rotten manifest was taken");
    if (rot->kind == FILE_HINT && finder != (rot->counts ? FOUND_BY_REMARK : WITHOUT_EFFECT))
        fail_rot(rot, "a rotten hint was taken, or made the start fail");
    if (rot->kind == FILE_DATA && rot->counts && finder == WITHOUT_EFFECT)
        fail_rot(rot, "nobody has found it");
    if (rot->kind == FILE_DATA && !rot->counts && finder != WITHOUT_EFFECT)
        fail_rot(rot, "bytes that nobody names were looked at");
}

static enum finder flip(struct past *past, const char *path, uint64_t off, uint8_t mask)
{
    struct rot rot = {.past = past, .path = path, .kind = kind_of(path), .off = off, .mask = mask};
    if (rot.kind == FILE_DATA)
        rot.counts = off < named_length(past, path);
    if (rot.kind == FILE_HINT)
        rot.counts = named_length(past, path) > 0;
    enum finder finder = try_rot(&rot);
    expect_found(&rot, finder);
    return finder;
}

/* ---- Tests ---- */

typedef void (*visit_block_fn)(void *ctx, const char *path, uint64_t off, uint64_t size);

static uint64_t visit_blocks(struct past *past, visit_block_fn visit, void *ctx)
{
    uint64_t count = 0;
    for (size_t at = 0; at < past->paths.len;) {
        const char *path = (const char *)past->paths.data + at;
        at += strlen(path) + 1;
        struct fs_stat st;
        assert_int_equal(fs_stat(simdisk_fs(past->disk), path, &st), 0);
        for (uint64_t off = 0; off < st.size; off += BLOCK, count++) {
            if (visit != NULL)
                visit(ctx, path, off, st.size - off < BLOCK ? st.size - off : BLOCK);
        }
    }
    return count;
}

struct tour {
    struct past *past;
    struct random random;
    uint64_t step;
    uint64_t left; /* until the next block that is flipped */
    unsigned found[FILE_KINDS][FINDERS];
};

static void flip_in_block(void *ctx, const char *path, uint64_t off, uint64_t size)
{
    struct tour *tour = ctx;
    if (tour->left-- > 0)
        return;
    tour->left = tour->step - 1;
    uint64_t at = off + random_below(&tour->random, size);
    uint8_t mask = (uint8_t)(1 + random_below(&tour->random, 255));
    tour->found[kind_of(path)][flip(tour->past, path, at, mask)]++;
}

static void print_tour(const struct tour *tour)
{
    static const char *const kinds[FILE_KINDS] = {"data files", "hints", "log", "manifest"};
    for (unsigned kind = 0; kind < FILE_KINDS; kind++) {
        for (unsigned finder = 0; finder < FINDERS; finder++) {
            if (tour->found[kind][finder] > 0)
                printf("%s: %u %s\n", kinds[kind], tour->found[kind][finder], finder_names[finder]);
        }
    }
}

/* Each of these was met, or the directory is not what it should be; a sample may miss some. */
static void expect_all_kinds(const struct tour *tour)
{
    bool is_sample = tour->step > 1;
    bool has_crashed = strcmp(tour->past->how, "crashed") == 0;
    assert_true(tour->found[FILE_DATA][FOUND_BY_READ] > 0);
    assert_true(tour->found[FILE_LOG][WITHOUT_EFFECT] > 0);
    assert_true(is_sample || tour->found[FILE_HINT][FOUND_BY_REMARK] > 0);
    assert_true(is_sample || tour->found[FILE_DATA][FOUND_BY_UPKEEP] > 0);
    assert_true(is_sample || tour->found[FILE_DATA][FOUND_BY_START] > 0);
    assert_true(is_sample || !has_crashed || tour->found[FILE_LOG][FOUND_BY_START] > 0);
}

static void flip_given(struct past *past, const char *given)
{
    char path[128];
    unsigned long long off = 0;
    unsigned mask = 0;
    assert_int_equal(sscanf(given, "%127[^:]:%llu:%u", path, &off, &mask), 3);
    printf("%s\n", finder_names[flip(past, path, off, (uint8_t)mask)]);
}

static void flip_many(struct past *past, bool is_all)
{
    uint64_t count = visit_blocks(past, NULL, NULL);
    struct tour tour = {
        .past = past, .random = {.state = past->seed}, .step = is_all ? 1 : count / FLIPS + 1};
    printf("%s: %llu blocks, %llu KiB\n", past->how, (unsigned long long)count,
           (unsigned long long)(past->bytes >> 10));
    tour.left = random_below(&tour.random, tour.step);
    visit_blocks(past, flip_in_block, &tour);
    print_tour(&tour);
    expect_all_kinds(&tour);
}

static void try_past(const char *how)
{
    struct past past;
    uint64_t seed = random_seed();
    const char *given = getenv("ROT");
    bool is_all = given != NULL && strcmp(given, "all") == 0;
    bool is_mine = given == NULL || is_all || strncmp(given, how, strlen(how)) == 0;
    if (!is_mine)
        return;
    past_init(&past, seed, how);
    if (given == NULL || is_all)
        flip_many(&past, is_all);
    else
        flip_given(&past, given + strlen(how) + 1);
    past_fini(&past);
}

static void test_a_flipped_byte_is_found_or_without_effect_after_a_crash(void **unused)
{
    (void)unused;
    try_past("crashed");
}

static void test_a_flipped_byte_is_found_or_without_effect_after_a_stop(void **unused)
{
    (void)unused;
    try_past("stopped");
}

/* The last frame, for which nothing vouches yet: the writes in it are not there, and nobody is
 * alarmed. In any frame before it the same byte is corruption. */
static void test_a_torn_tail_alone_starts_normally(void **unused)
{
    (void)unused;
    struct past past = {.seed = random_seed(), .how = "torn", .disk = simnode_disk(1)};
    past.options = options_of(past.seed);
    struct simnode *node = simnode_start(&past.options, past.disk);
    for (unsigned i = 0; i < 12; i++)
        simnode_ask(node, "INCR n");
    struct simdisk *disk = past.disk;
    past.disk = simdisk_image_all(disk, simdisk_steps(disk));
    simnode_close(node);
    simdisk_free(disk);
    past.options.wall_ms = SIMNODE_START_MS + 5000;
    unsigned torn = 0;
    unsigned refused = 0;
    for (uint64_t off = BLOCK; off < past.options.segment_size; off += BLOCK) {
        struct diag diag = {.text = ""};
        struct simdisk *image = simdisk_image_all(past.disk, 0);
        assert_true(simdisk_corrupt(image, FIRST_SEGMENT, off + 70, 1));
        node = simnode_open(&past.options, image, &diag);
        refused += node == NULL;
        if (node != NULL) {
            assert_true(simnode_wait_ready(node));
            const char *reply = simnode_ask(node, "GET n");
            bool is_whole = strcmp(reply, "$2\r\n12\r\n") == 0;
            assert_true(is_whole || strcmp(reply, "$2\r\n11\r\n") == 0);
            torn += !is_whole;
        }
        simnode_close(node);
        simdisk_free(image);
    }
    assert_int_equal(torn, 1);
    assert_true(refused >= 11);
    past_fini(&past);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_flipped_byte_is_found_or_without_effect_after_a_crash),
        cmocka_unit_test(test_a_flipped_byte_is_found_or_without_effect_after_a_stop),
        cmocka_unit_test(test_a_torn_tail_alone_starts_normally),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
