/* SPDX-License-Identifier: Apache-2.0 */
/* bitcask_bench DIR [value_bytes]: what a record costs: appending it, writing it (page cache), and
 * recovering it (all cached).
 *
 * Keys are 16 bytes. DIR is made, must be empty and is left behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "bitcask/bitcask.h"

#define KEY_SIZE    16
#define TOTAL_BYTES (512ULL << 20)
#define TURN        64 /* records between two writes */

struct bench {
    struct bitcask_options options;
    struct bitcask *bc;
    size_t value_size;
    size_t count;
    uint64_t scanned;
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void check(int rc, const struct diag *diag)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%d: %s\n", rc, diag->text);
    exit(1);
}

static int count_record(void *ctx, const struct record *record, uint32_t file_id, uint64_t off)
{
    (void)file_id;
    (void)off;
    struct bench *bench = ctx;
    bench->scanned += record->value.len != 0;
    return 0;
}

static void open_it(struct bench *bench)
{
    struct diag diag = {{0}};
    check(bitcask_open(&bench->options, count_record, bench, NULL, &bench->bc, &diag), &diag);
}

static void write_it(struct bench *bench)
{
    struct bitcask_write *write = bitcask_write_take(bench->bc);
    if (write == NULL)
        return;
    struct diag diag = {{0}};
    bitcask_write_run(write);
    check(bitcask_write_done(bench->bc, write, &diag), &diag);
}

static void fill(struct bench *bench)
{
    uint8_t key[KEY_SIZE] = {0};
    uint8_t *value = mem_calloc(1, bench->value_size);
    double append_s = 0;
    double begin = now_s();
    for (size_t done = 0; done < bench->count; done += TURN) {
        double turn = now_s();
        for (size_t i = 0; i < TURN; i++) {
            put_u64(key, done + i);
            struct record record = {.kind = RECORD_PUT,
                                    .position = (done + i + 1) << 16,
                                    .key = slice_of(key, KEY_SIZE),
                                    .value = slice_of(value, bench->value_size)};
            uint32_t file_id;
            uint64_t off;
            bitcask_append(bench->bc, &record, &file_id, &off);
        }
        append_s += now_s() - turn;
        write_it(bench);
    }
    double total_s = now_s() - begin;
    printf("append %6.1f ns a record, write %6.1f ns (%.2f GB/s)\n",
           append_s / (double)bench->count * 1e9, (total_s - append_s) / (double)bench->count * 1e9,
           (double)TOTAL_BYTES / 1e9 / (total_s - append_s));
    mem_free(value);
}

static void checkpoint(struct bench *bench)
{
    struct diag diag = {{0}};
    bitcask_mark(bench->bc);
    write_it(bench);
    struct bitcask_sync *sync = bitcask_sync_take(bench->bc);
    bitcask_sync_run(sync);
    check(bitcask_sync_done(bench->bc, sync, &diag), &diag);
    bench->options.named = bitcask_mark_files(bench->bc, &bench->options.named_count);
    bench->options.next_id = bitcask_next_id(bench->bc);
}

static void recover(struct bench *bench)
{
    for (int i = 0; i < 3; i++) {
        bench->scanned = 0;
        double begin = now_s();
        open_it(bench);
        double s = now_s() - begin;
        printf("recover %6.1f ns a record, %.2f GB/s\n", s / (double)bench->scanned * 1e9,
               (double)bitcask_stats(bench->bc).bytes / 1e9 / s);
        bitcask_close(bench->bc);
    }
}

int main(int argc, char **argv)
{
    uint64_t value_size = 100;
    if (argc < 2 || argc > 3 || (argc == 3 && !num_parse_u64(slice_str(argv[2]), &value_size))) {
        fprintf(stderr, "usage: %s DIR [value_bytes]\n", argv[0]);
        return 2;
    }
    struct bench bench = {.value_size = (size_t)value_size};
    bench.count = (size_t)(TOTAL_BYTES / (RECORD_FIXED_SIZE + KEY_SIZE + value_size)) / TURN * TURN;
    struct epoch *epoch = epoch_new();
    bench.options = (struct bitcask_options){.os = os_posix(),
                                             .epoch = epoch,
                                             .dir = argv[1],
                                             .max_file_size = 256u << 20,
                                             .next_id = 1};
    open_it(&bench);
    fill(&bench);
    checkpoint(&bench);
    bitcask_close(bench.bc);
    recover(&bench);
    mem_free((void *)(uintptr_t)bench.options.named);
    epoch_free(epoch);
    return 0;
}
