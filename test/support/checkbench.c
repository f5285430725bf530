/* SPDX-License-Identifier: Apache-2.0 */
#include "support/checkbench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "bitcask/hint.h"
#include "support/cmocka.h"
#include "support/random.h"

#define DEFAULT_FILE_SIZE (UINT64_C(64) << 10)

/* ---- Making one ---- */

/* A few values are larger than a block, most are small. */
static size_t value_size(struct random *random)
{
    switch (random_below(random, 16)) {
    case 0:
        return 4000 + random_below(random, 6000);
    case 1:
    case 2:
        return 300 + random_below(random, 900);
    default:
        return 4 + random_below(random, 60);
    }
}

static void write_some(struct simnode *node, struct random *random,
                       const struct checkbench_options *options, unsigned from, unsigned to)
{
    unsigned keys = options->keys != 0 ? options->keys : options->writes;
    struct buf text = {0};
    for (unsigned i = from; i < to; i++) {
        text.len = 0;
        if (i % 37 == 36) {
            buf_append_format(&text, "DEL k%u", (i * 7) % keys);
        } else {
            buf_append_format(&text, "SET k%u v%u-", i % keys, i);
            size_t size = value_size(random);
            memset(buf_extend(&text, size), 'a' + (int)(i % 26), size);
        }
        buf_append_byte(&text, 0);
        simnode_send(node, i % SIMNODE_CONNECTIONS, (const char *)text.data);
        if (i % 16 == 15)
            assert_true(simnode_settle(node));
    }
    assert_true(simnode_settle(node));
    buf_fini(&text);
}

struct simdisk *checkbench_disk(const struct checkbench_options *options)
{
    struct random random = {.state = options->seed};
    struct simdisk *disk = simnode_disk(options->seed);
    struct simnode *node = simnode_start(
        &(struct simnode_options){
            .seed = options->seed,
            .shard_count = options->shards != 0 ? options->shards : 2,
            .max_file_size = options->file_size != 0 ? options->file_size : DEFAULT_FILE_SIZE,
        },
        disk);
    unsigned body = options->writes - options->tail;
    for (unsigned part = 0; part < 3; part++) {
        write_some(node, &random, options, body * part / 3, body * (part + 1) / 3);
        assert_int_equal(simnode_checkpoint(node), 0);
    }
    write_some(node, &random, options, body, options->writes);
    if (options->is_stopped)
        assert_int_equal(simnode_stop(node, true), 0);
    simnode_close(node);
    return disk;
}

/* ---- Running the tool ---- */

static void on_write(void *ctx, struct slice text)
{
    struct buf *out = ctx;
    if (out != NULL)
        buf_append_slice(out, text);
}

static bool on_confirm(void *ctx, const char *question)
{
    (void)ctx;
    (void)question;
    return true;
}

int checkbench_run_on(struct simdisk *disk, enum check_verb verb, const char *path, bool is_json,
                      struct buf *out, struct diag *diag)
{
    struct simclock clock;
    struct simchance chance;
    simclock_init(&clock, SIMNODE_START_MS);
    simchance_init(&chance, simdisk_steps(disk) + 77);
    const struct check_request request = {.verb = verb, .path = path, .is_json = is_json};
    const struct check_options options = {
        .os = {.fs = simdisk_fs(disk), .clock = &clock.clock, .chance = &chance.chance},
        .io = {.write = on_write, .confirm = on_confirm, .ctx = out},
    };
    int status = check_run(&request, &options, diag);
    if (out != NULL) {
        buf_append_byte(out, 0);
        out->len--;
    }
    return status;
}

int checkbench_run(struct simdisk *disk, enum check_verb verb, struct buf *out)
{
    struct diag diag = {.text = ""};
    int status = checkbench_run_on(disk, verb, SIMNODE_DIR, false, out, &diag);
    if (status == CHECK_FAILED)
        print_message("%s\n", diag.text);
    return status;
}

/* ---- Starting on it ---- */

static struct simnode *open_image(struct simdisk *disk, struct simdisk **out_image,
                                  struct diag *diag)
{
    *out_image = simdisk_image_all(disk, simdisk_steps(disk));
    struct simnode *node = simnode_open(&(struct simnode_options){.seed = 5}, *out_image, diag);
    if (node != NULL && simnode_wait_ready(node))
        return node;
    if (node != NULL) {
        diag_set(diag, 0, "%s", node->fatal);
        simnode_close(node);
    }
    simdisk_free(*out_image);
    return NULL;
}

int checkbench_start(struct simdisk *disk, uint64_t *out_digest, struct diag *diag)
{
    struct simdisk *image;
    struct simnode *node = open_image(disk, &image, diag);
    if (node == NULL)
        return ERR_CORRUPT;
    *out_digest = simnode_digest(node);
    simnode_close(node);
    simdisk_free(image);
    return 0;
}

int checkbench_read(struct simdisk *disk, unsigned keys, struct checkbench_state *out_state,
                    struct diag *diag)
{
    struct simdisk *image;
    struct simnode *node = open_image(disk, &image, diag);
    if (node == NULL)
        return ERR_CORRUPT;
    *out_state =
        (struct checkbench_state){.values = mem_calloc(keys, sizeof(char *)), .count = keys};
    for (unsigned i = 0; i < keys; i++) {
        char text[32];
        snprintf(text, sizeof(text), "GET k%u", i);
        const char *reply = simnode_ask(node, text);
        out_state->values[i] = reply[1] == '-' ? NULL : mem_dup_str(reply);
    }
    simnode_close(node);
    simdisk_free(image);
    return 0;
}

void checkbench_state_fini(struct checkbench_state *state)
{
    for (unsigned i = 0; i < state->count; i++)
        mem_free(state->values[i]);
    mem_free(state->values);
    *state = (struct checkbench_state){0};
}

/* ---- Files ---- */

void checkbench_write_hint(struct simdisk *disk, const char *dir, uint32_t id)
{
    struct fs *fs = simdisk_fs(disk);
    char *path = datafile_path(dir, id, DATAFILE_SUFFIX);
    struct file *file;
    uint64_t size;
    uint8_t block[DATAFILE_HEADER_SIZE];
    struct datafile_header header;
    struct diag diag = {.text = ""};
    assert_int_equal(fs_open(fs, path, FS_READ, &file), 0);
    assert_int_equal(file_read_full(file, block, sizeof(block), 0), 0);
    assert_int_equal(file_size(file, &size), 0);
    file_unref(file);
    assert_int_equal(datafile_header_decode(slice_of(block, sizeof(block)), &header), 0);
    struct datafile *df = datafile_new(dir, &header);
    assert_int_equal(datafile_open(df, fs, FS_READ, &diag), 0);
    assert_int_equal(hint_write(fs, df, size, &diag), 0);
    assert_int_equal(fs_sync_dir(fs, dir), 0);
    datafile_unref(df);
    mem_free(path);
}

struct tour {
    struct simdisk *disk;
    checkbench_file_fn visit;
    void *ctx;
    char folders[32][64];
    unsigned folder_count;
    const char *folder;
};

static int on_name(void *ctx, const char *name)
{
    struct tour *tour = ctx;
    char path[128];
    struct fs_stat st;
    snprintf(path, sizeof(path), "%s/%s", tour->folder, name);
    assert_int_equal(fs_stat(simdisk_fs(tour->disk), path, &st), 0);
    if (!st.is_dir) {
        tour->visit(tour->ctx, path, st.size);
        return 0;
    }
    if (strcmp(name, "quarantine") == 0)
        return 0;
    assert_true(tour->folder_count < 32);
    snprintf(tour->folders[tour->folder_count++], 64, "%.63s", path);
    return 0;
}

void checkbench_each_file(struct simdisk *disk, checkbench_file_fn visit, void *ctx)
{
    struct tour tour = {.disk = disk, .visit = visit, .ctx = ctx, .folder_count = 1};
    snprintf(tour.folders[0], sizeof(tour.folders[0]), "%s", SIMNODE_DIR);
    for (unsigned i = 0; i < tour.folder_count; i++) {
        tour.folder = tour.folders[i];
        assert_int_equal(fs_list(simdisk_fs(disk), tour.folder, on_name, &tour), 0);
    }
}
