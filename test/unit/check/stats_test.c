/* SPDX-License-Identifier: Apache-2.0 */
/* What stats counts, held against the node and against the dump; and the command line. */
#include <stdio.h>
#include <stdlib.h>

#include "base/version.h"
#include "support/checkbench.h"
#include "support/cmocka.h"

/* The number behind " name=" in the first line that begins with `kind`. */
static uint64_t number_of(const struct buf *out, const char *kind, const char *name)
{
    const char *line = (const char *)out->data;
    char wanted[64];
    snprintf(wanted, sizeof(wanted), " %s=", name);
    while (line != NULL && strncmp(line, kind, strlen(kind)) != 0) {
        line = strchr(line, '\n');
        line += line != NULL;
    }
    assert_non_null(line);
    const char *at = strstr(line, wanted);
    assert_non_null(at);
    return strtoull(at + strlen(wanted), NULL, 10);
}

/* Lines of records, not those of hints. */
static unsigned count_of(const struct buf *out, const char *what)
{
    unsigned count = 0;
    for (const char *at = (const char *)out->data; (at = strstr(at, "\nrecord ")) != NULL; at++) {
        const char *found = strstr(at, what);
        count += found != NULL && found < strchr(at + 1, '\n');
    }
    return count;
}

static void test_the_sums_are_right(void **unused)
{
    (void)unused;
    struct simdisk *disk = checkbench_disk(&(struct checkbench_options){
        .seed = 8, .writes = 700, .keys = 90, .is_stopped = true, .file_size = 32 << 10});
    struct buf out = {0};
    struct buf dump = {0};
    struct diag diag = {.text = ""};
    assert_int_equal(checkbench_run(disk, CHECK_STATS, &out), CHECK_SOUND);
    assert_int_equal(checkbench_run(disk, CHECK_DUMP, &dump), CHECK_SOUND);
    uint64_t bytes = number_of(&out, "data ", "bytes");
    uint64_t live = number_of(&out, "data ", "live_bytes");
    uint64_t dead = number_of(&out, "data ", "dead_bytes");
    assert_int_equal(bytes, live + dead + number_of(&out, "data ", "tombstone_bytes") +
                                number_of(&out, "data ", "other_bytes"));
    assert_true(dead > live); /* each key was written eight times */
    unsigned puts = count_of(&dump, " op=put ");
    unsigned removes = count_of(&dump, " op=remove ");
    assert_int_equal(number_of(&out, "data ", "records"), puts + removes);
    assert_int_equal(number_of(&out, "data ", "tombstones"), removes);
    /* Keys, by the node itself. */
    struct checkbench_state state;
    uint64_t keys = 0;
    assert_int_equal(checkbench_read(disk, 90, &state, &diag), 0);
    for (unsigned i = 0; i < state.count; i++)
        keys += state.values[i] != NULL;
    assert_int_equal(number_of(&out, "data ", "live_records"), keys);
    assert_int_equal(
        number_of(&out, "shard shard=0", "keys") + number_of(&out, "shard shard=1", "keys"), keys);
    checkbench_state_fini(&state);
    buf_fini(&out);
    buf_fini(&dump);
    simdisk_free(disk);
}

static void test_stats_of_what_is_damaged_are_refused(void **unused)
{
    (void)unused;
    struct simdisk *disk =
        checkbench_disk(&(struct checkbench_options){.seed = 8, .writes = 50, .shards = 1});
    assert_true(simdisk_corrupt(disk, "/data/data/shard_0/00001.log", 4500, 1));
    struct buf out = {0};
    assert_int_equal(checkbench_run(disk, CHECK_STATS, &out), CHECK_DAMAGED);
    assert_non_null(strstr((const char *)out.data, "00001.log is damaged"));
    buf_fini(&out);
    simdisk_free(disk);
}

static void test_a_single_file_is_dumped(void **unused)
{
    (void)unused;
    struct simdisk *disk = checkbench_disk(
        &(struct checkbench_options){.seed = 8, .writes = 60, .tail = 20, .shards = 1});
    const char *paths[] = {"/data/manifest", "/data/data/shard_0/00001.log",
                           "/data/log/00000000000000000001.seg"};
    const char *wanted[] = {"{\"kind\":\"manifest\",\"file\":\"manifest\",",
                            "{\"kind\":\"record\",\"file\":\"data/shard_0/00001.log\",",
                            "\"name\":\"set\",\"args\":[\"k"};
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        struct buf out = {0};
        struct diag diag = {.text = ""};
        assert_int_equal(checkbench_run_on(disk, CHECK_DUMP, paths[i], true, &out, &diag),
                         CHECK_SOUND);
        assert_non_null(strstr((const char *)out.data, wanted[i]));
        buf_fini(&out);
    }
    /* A copy elsewhere is read by its own header. */
    assert_int_equal(fs_link(simdisk_fs(disk), paths[1], "/00001.log"), 0);
    struct buf out = {0};
    struct diag diag = {.text = ""};
    assert_int_equal(checkbench_run_on(disk, CHECK_DUMP, "/00001.log", false, &out, &diag),
                     CHECK_SOUND);
    assert_non_null(strstr((const char *)out.data, "is_named=false"));
    assert_non_null(strstr((const char *)out.data, " op=put "));
    assert_int_equal(checkbench_run_on(disk, CHECK_DUMP, "/data/lock", false, &out, &diag),
                     CHECK_FAILED);
    assert_non_null(strstr(diag.text, "neither its name"));
    buf_fini(&out);
    simdisk_free(disk);
}

/* As a quarantine names them. */
static void test_any_name_will_do(void **unused)
{
    (void)unused;
    struct simdisk *disk = checkbench_disk(
        &(struct checkbench_options){.seed = 8, .writes = 60, .is_stopped = true, .shards = 1});
    checkbench_write_hint(disk, "/data/data/shard_0", 1);
    const char *paths[] = {"/data/manifest", "/data/data/shard_0/00001.log",
                           "/data/data/shard_0/00001.hint", "/data/log/00000000000000000001.seg"};
    const char *wanted[] = {"\nmanifest ", "\nrecord off=4096 ", "\nhint_record off=4096 ",
                            "\nframe off=4096 "};
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        struct buf out = {0};
        struct diag diag = {.text = ""};
        char name[32];
        snprintf(name, sizeof(name), "/data-kept.%zu", i);
        assert_int_equal(fs_link(simdisk_fs(disk), paths[i], name), 0);
        if (checkbench_run_on(disk, CHECK_DUMP, name, false, &out, &diag) != CHECK_SOUND ||
            strstr((const char *)out.data, wanted[i]) == NULL) {
            print_error("%s as %s: %s\n", paths[i], name, diag.text);
            fail();
        }
        buf_fini(&out);
    }
    simdisk_free(disk);
}

/* ---- The command line ---- */

static int parse(const char *line, struct check_request *request, struct diag *diag)
{
    char words[100];
    char *argv[10] = {"ferric-check"};
    int argc = 1;
    snprintf(words, sizeof(words), "%s", line);
    char *rest = words;
    for (char *word; (word = strsep(&rest, " ")) != NULL && *word != '\0';)
        argv[argc++] = word;
    int rc = check_parse(argc, argv, request, diag);
    /* Borrowed from here. */
    if (rc == 0 && request->path != NULL)
        assert_string_equal(request->path, "d");
    return rc;
}

static void test_the_command_line(void **unused)
{
    (void)unused;
    struct check_request request;
    struct diag diag;
    assert_int_equal(parse("verify d", &request, &diag), 0);
    assert_int_equal(request.verb, CHECK_VERIFY);
    assert_int_equal(parse("dump --json d --full", &request, &diag), 0);
    assert_true(request.verb == CHECK_DUMP && request.is_json && request.is_full);
    assert_int_equal(parse("stats d --json", &request, &diag), 0);
    assert_int_equal(parse("repair -y -- d", &request, &diag), 0);
    assert_true(request.is_yes);
    assert_int_equal(parse("verify d --help", &request, &diag), 0);
    assert_int_equal(request.verb, CHECK_HELP);
    assert_int_equal(parse("-v", &request, &diag), 0);
    assert_int_equal(request.verb, CHECK_VERSION);
    const char *bad[] = {"",
                         "verify",
                         "what d",
                         "verify d d",
                         "verify d --json",
                         "stats d --full",
                         "dump d --yes",
                         "repair --json d"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        diag.text[0] = '\0';
        assert_int_equal(parse(bad[i], &request, &diag), ERR_INVALID);
        assert_true(diag.text[0] != '\0');
    }
    struct buf text = {0};
    check_put_text(CHECK_VERSION, &text);
    buf_append_byte(&text, 0);
    assert_non_null(strstr((const char *)text.data, "ferric-check " FERRIC_VERSION));
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_sums_are_right),
        cmocka_unit_test(test_stats_of_what_is_damaged_are_refused),
        cmocka_unit_test(test_a_single_file_is_dumped),
        cmocka_unit_test(test_any_name_will_do),
        cmocka_unit_test(test_the_command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
