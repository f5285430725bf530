/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/mem.h"
#include "bitcask/hint.h"
#include "check/dump/dump.h"

static int on_record(void *ctx, const struct record *record, uint64_t off, size_t size)
{
    struct dump *dump = ctx;
    print_begin(&dump->printer, "hint_record");
    print_u64(&dump->printer, "off", off);
    print_u64(&dump->printer, "size", size);
    dump_record_fields(&dump->printer, record);
    if (record->kind == RECORD_PUT)
        print_u64(&dump->printer, "value_size", record->value.len);
    print_end(&dump->printer);
    return 0;
}

int dump_hint(struct dump *dump, const char *path, const struct bitcask_named *named,
              uint32_t shard, struct diag *diag)
{
    struct diag why = {.text = ""};
    uint64_t covered = named != NULL ? named->length : UINT64_MAX;
    int rc;
    if (named == NULL) {
        rc = hint_read_alone(dump->fs, path, &covered, on_record, dump, &why);
    } else {
        char *dir = folder_shard_path(dump->folder, shard);
        struct datafile *df = datafile_new(
            dir, &(struct datafile_header){.shard = shard, .id = named->id, .uid = named->uid});
        rc = hint_read(dump->fs, df, &covered, on_record, dump, &why);
        datafile_unref(df);
        mem_free(dir);
    }
    if (rc == ERR_CORRUPT) {
        dump_damage(dump, 0, 0, why.text);
        return 0;
    }
    if (rc != 0)
        return diag_set(diag, rc, "%s", rc == ERR_NOT_FOUND ? "there is no such hint" : why.text);
    print_begin(&dump->printer, "hint");
    print_u64(&dump->printer, "covered", covered);
    print_end(&dump->printer);
    return 0;
}
