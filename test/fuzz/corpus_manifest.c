/* SPDX-License-Identifier: Apache-2.0 */
/* corpus_manifest DIR: writes the corpus manifest/ of the folder DIR, which must be there:
 * manifests of an empty node and of one with files, and some that have been damaged. */
#include <stdio.h>
#include <stdlib.h>

#include "store/manifest.h"

static void save(const char *dir, const char *name, struct slice bytes)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/manifest/%s", dir, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes.data, 1, bytes.len, file) != bytes.len || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    static uint16_t ids[16];
    static struct bitcask_named files[3] = {
        {.id = 1, .uid = 0x1111, .length = 8192, .lowest_index = 4},
        {.id = 2, .uid = 0x2222, .length = 4096, .lowest_index = UINT64_MAX},
        {.id = 9, .uid = 0x9999, .length = 1u << 28, .lowest_index = 77},
    };
    static struct manifest_shard shards[3] = {
        {.next_file_id = 10, .file_count = 3, .files = files},
        {.next_file_id = 1},
        {.next_file_id = 5},
    };
    struct manifest manifest = {.group_id = 1,
                                .node_id = 2,
                                .hash_point = 3,
                                .database_count = 1,
                                .database_ids = ids,
                                .shard_count = 1,
                                .shards = &shards[1]};
    struct buf bytes = {0};
    for (uint16_t i = 0; i < 16; i++)
        ids[i] = i;
    manifest_encode(&manifest, &bytes);
    save(argv[1], "empty_node", buf_slice(&bytes));
    manifest.index = 1000;
    manifest.state_ms = 1700000000000;
    manifest.ceiling_ms = 1700000001000;
    manifest.database_count = 16;
    manifest.shard_count = 3;
    manifest.shards = shards;
    buf_append_str(&manifest.configuration, "a configuration");
    bytes.len = 0;
    manifest_encode(&manifest, &bytes);
    save(argv[1], "three_shards", buf_slice(&bytes));
    save(argv[1], "torn", slice_sub(buf_slice(&bytes), 0, 150));
    bytes.data[8]++;
    save(argv[1], "another_version", buf_slice(&bytes));
    bytes.data[8]--;
    bytes.data[bytes.len - 1] ^= 1;
    save(argv[1], "wrong_check", buf_slice(&bytes));
    buf_fini(&bytes);
    buf_fini(&manifest.configuration);
    return 0;
}
