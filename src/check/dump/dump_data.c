/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "bitcask/datafile.h"
#include "check/dump/dump.h"
#include "check/walk.h"
#include "store/value.h"

static void print_type(struct printer *printer, uint8_t type)
{
    static const char *const forms[] = {
        [VALUE_PLAIN] = "plain", [VALUE_TEXT] = "text", [VALUE_CHANGED] = "changed"};
    if (!value_byte_is_sound(type)) {
        print_u64(printer, "type", type);
        return;
    }
    print_text(printer, "type", value_type_name(value_byte_type(type)));
    if (value_byte_form(type) != VALUE_PLAIN)
        print_text(printer, "form", forms[value_byte_form(type)]);
}

void dump_record_fields(struct printer *printer, const struct record *record)
{
    static const char *const ops[] = {[RECORD_PUT] = "put",
                                      [RECORD_TOMBSTONE] = "remove",
                                      [RECORD_FLUSH] = "flush",
                                      [RECORD_PAD] = "pad"};
    print_text(printer, "op", ops[record->kind]);
    if (record->kind != RECORD_PAD) {
        print_u64(printer, "db_id", record->db_id);
        print_u64(printer, "index", record->position >> 16);
        print_u64(printer, "command", record->position & 0xffff);
        if (record->revision != 0)
            print_u64(printer, "revision", record->revision);
    }
    if (record->kind == RECORD_PUT)
        print_type(printer, record->type);
    if (record->expire_at_ms != 0)
        print_u64(printer, "expire_at_ms", record->expire_at_ms);
    if (record->collection.position != 0 || record->collection.counter != 0) {
        print_u64(printer, "collection", record->collection.position);
        print_u64(printer, "collection_counter", record->collection.counter);
    }
    if (record->kind == RECORD_PUT || record->kind == RECORD_TOMBSTONE)
        print_key(printer, "key", record->key);
}

static void print_record(struct printer *printer, const struct walk_item *item)
{
    print_begin(printer, "record");
    print_u64(printer, "off", item->off);
    print_u64(printer, "size", item->end - item->off);
    dump_record_fields(printer, &item->record);
    if (item->record.kind == RECORD_PUT)
        print_value(printer, "value", item->record.value);
    if (item->wrong != NULL)
        print_text(printer, "wrong", item->wrong);
    print_end(printer);
}

/* Where the walk ends, and with which uid. */
struct bounds {
    uint64_t uid;
    uint64_t end;
};

/* The header is printed; where a manifest names the file, that is believed. */
static int read_header(struct dump *dump, struct file *file, const struct bitcask_named *named,
                       struct bounds *out_bounds)
{
    struct printer *printer = &dump->printer;
    uint8_t *block = mem_alloc(DATAFILE_HEADER_SIZE);
    struct datafile_header header = {0};
    uint64_t size = 0;
    int rc = file_size(file, &size);
    int header_rc = rc == 0 ? file_read_full(file, block, DATAFILE_HEADER_SIZE, 0) : rc;
    if (header_rc == 0)
        header_rc = datafile_header_decode(slice_of(block, DATAFILE_HEADER_SIZE), &header);
    mem_free(block);
    if (rc != 0 || header_rc == ERR_VERSION)
        return rc != 0 ? rc : header_rc;
    print_begin(printer, "data_file");
    print_u64(printer, "size", size);
    if (header_rc == 0) {
        print_u64(printer, "shard", header.shard);
        print_u64(printer, "id", header.id);
        print_word64(printer, "uid", header.uid);
    }
    print_bool(printer, "is_named", named != NULL);
    if (named != NULL)
        print_u64(printer, "length", named->length);
    print_end(printer);
    if (header_rc != 0)
        dump_damage(dump, 0, DATAFILE_HEADER_SIZE, err_text(header_rc));
    uint64_t length = named != NULL && named->length < size ? named->length : size;
    *out_bounds = (struct bounds){.uid = named != NULL ? named->uid : header.uid, .end = length};
    if (named != NULL && size < named->length)
        dump_damage(dump, size, named->length, "the file ends before its length");
    return 0;
}

static int dump_records(struct dump *dump, struct walk *walk, bool is_named, struct diag *diag)
{
    struct walk_item item;
    for (;;) {
        int rc = walk_next(walk, &item, diag);
        if (rc != 0)
            return rc == ERR_NOT_FOUND ? 0 : rc;
        if (!item.is_damage)
            print_record(&dump->printer, &item);
        else
            dump_damage(dump, item.off, item.end,
                        is_named ? "the bytes do not check"
                                 : "no records: damage, or what has never been finished");
        dump->damage_count += !item.is_damage && item.wrong != NULL;
    }
}

int dump_data_file(struct dump *dump, const char *path, const struct bitcask_named *named,
                   struct diag *diag)
{
    struct file *file;
    struct bounds bounds = {0};
    int rc = fs_open(dump->fs, path, FS_READ, &file);
    if (rc != 0)
        return diag_set(diag, rc, "%s: %s", path, err_text(rc));
    rc = read_header(dump, file, named, &bounds);
    if (rc != 0)
        diag_set(diag, rc, "%s: %s", path, err_text(rc));
    if (rc == 0 && bounds.end > DATAFILE_HEADER_SIZE) {
        struct walk walk;
        walk_init(&walk, file, path, bounds.uid, bounds.end);
        if (named != NULL)
            walk.rules.manifest = &dump->folder->manifest;
        rc = dump_records(dump, &walk, named != NULL, diag);
        walk_fini(&walk);
    }
    file_unref(file);
    return rc;
}
