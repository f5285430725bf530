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

/* The hint's file by its own header: what a hint says is bound to that. */
static int read_header(struct fs *fs, const char *path, struct datafile_header *out_header)
{
    struct file *file;
    int rc = fs_open(fs, path, FS_READ, &file);
    if (rc != 0)
        return rc;
    uint8_t *block = mem_alloc(DATAFILE_HEADER_SIZE);
    rc = file_read_full(file, block, DATAFILE_HEADER_SIZE, 0);
    if (rc == 0)
        rc = datafile_header_decode(slice_of(block, DATAFILE_HEADER_SIZE), out_header);
    mem_free(block);
    file_unref(file);
    return rc;
}

/* "<dir>" and the name of the data file beside the hint. */
struct beside {
    char *dir;
    char *data;
};

static struct beside find_beside(const char *path, uint32_t id)
{
    const char *slash = strrchr(path, '/');
    struct beside beside = {0};
    beside.dir = slash == NULL ? mem_dup_str(".") : path_format("%.*s", (int)(slash - path), path);
    beside.data = data_path(beside.dir, id, DATA_LOG);
    return beside;
}

int dump_hint(struct dump *dump, const char *path, uint32_t id, const struct bitcask_named *named,
              uint32_t shard, struct diag *diag)
{
    struct beside beside = find_beside(path, id);
    struct datafile_header header = {.shard = shard, .id = id};
    int rc = 0;
    if (named != NULL)
        header.uid = named->uid;
    else
        rc = read_header(dump->fs, beside.data, &header);
    if (rc != 0) {
        diag_set(diag, rc, "%s is read by the header of its data file, %s: %s", path, beside.data,
                 err_text(rc));
    } else {
        struct diag why = {.text = ""};
        uint64_t covered = named != NULL ? named->length : UINT64_MAX;
        struct datafile *df = datafile_new(beside.dir, &header);
        rc = hint_read(dump->fs, df, &covered, on_record, dump, &why);
        datafile_unref(df);
        if (rc == ERR_CORRUPT) {
            dump_damage(dump, 0, 0, why.text);
            rc = 0;
        } else if (rc != 0) {
            diag_set(diag, rc, "%s", rc == ERR_NOT_FOUND ? "there is no such hint" : why.text);
        } else {
            print_begin(&dump->printer, "hint");
            print_u64(&dump->printer, "covered", covered);
            print_end(&dump->printer);
        }
    }
    mem_free(beside.data);
    mem_free(beside.dir);
    return rc;
}
