/* SPDX-License-Identifier: Apache-2.0 */
/* corpus_hll DIR: writes the corpus hll/ of the folder DIR, which must be there: HyperLogLogs from
 * empty to dense, and some that are none. */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "command/hyperloglog/hll.h"

static void save(const char *dir, const char *name, struct slice bytes)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/hll/%s", dir, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes.data, 1, bytes.len, file) != bytes.len || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void add(struct buf *value, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        uint8_t element[4];
        bool is_raised;
        put_u32(element, i);
        if (hll_raise(value, hll_place_of(slice_of(element, 4)), &is_raised) != 0)
            exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    struct buf value = {0};
    hll_init(&value);
    save(argv[1], "empty", buf_slice(&value));
    add(&value, 0, 3);
    save(argv[1], "three", buf_slice(&value));
    save(argv[1], "torn", slice_sub(buf_slice(&value), 0, value.len - 1));
    add(&value, 3, 200);
    save(argv[1], "sparse", buf_slice(&value));
    value.data[HLL_HEADER_SIZE] ^= 0x10;
    save(argv[1], "too_many_registers", buf_slice(&value));
    value.data[HLL_HEADER_SIZE] ^= 0x10;
    add(&value, 203, 1000);
    save(argv[1], "nearly_dense", buf_slice(&value));
    add(&value, 1203, 3000);
    save(argv[1], "dense", buf_slice(&value));
    save(argv[1], "dense_torn", slice_sub(buf_slice(&value), 0, value.len - 1));
    buf_fini(&value);
    return 0;
}
