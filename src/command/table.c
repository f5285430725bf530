/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "command/catalogue.h"
#include "command/rename.h"

#define NAME_MAX_SIZE 64

/* A name by which a row is found. One that was taken from its row stays, so that what lies behind
 * it is found. */
struct entry {
    const struct command_row *row; /* NULL: nobody goes by the name any more */
    struct slice name;             /* empty: the place is free */
    bool has_subs;
};

struct command_table {
    const struct command_row **rows; /* sorted: containers, each followed by its subcommands */
    size_t row_count;
    size_t unlisted_count; /* behind these */
    size_t top_count;
    struct entry *index; /* open addressing by name */
    size_t index_size;
    char **new_names; /* of command_table_rename() */
    size_t new_name_count;
    const struct command_row **by_id;
    size_t by_id_size;
    /* Numbers: those with an id begin, by id; the others are found by their address. */
    uint32_t *number_of_id;
    const struct command_row **by_number;
    uint32_t number_count;
    struct numbered {
        const struct command_row *row;
        uint32_t number;
    } * numbered; /* open addressing */
    size_t numbered_size;
    /* Top names of up to eight bytes, found without a byte by byte comparison. */
    struct quick {
        uint64_t folded;  /* the name in lower case, zeroes behind it */
        uint64_t letters; /* the bit that tells the cases apart, where it does */
        const struct command_row *row;
        size_t len;
        bool has_subs;
    } * quick; /* open addressing; at most a quarter is taken */
    unsigned quick_bits;
};

/* Hash of "parent|name" or "name", folded to lower case. */
static uint64_t name_hash(struct slice parent, struct slice name)
{
    uint8_t folded[2 * NAME_MAX_SIZE + 1];
    size_t len = 0;
    for (size_t i = 0; i < parent.len; i++)
        folded[len++] = (uint8_t)tolower(parent.data[i]);
    folded[len++] = '|';
    for (size_t i = 0; i < name.len; i++)
        folded[len++] = (uint8_t)tolower(name.data[i]);
    return hash_check(slice_of(folded, len));
}

static struct slice parent_of(const struct command_row *row)
{
    return row->parent == NULL ? SLICE_EMPTY : slice_str(row->parent);
}

static bool is_called(const struct entry *entry, struct slice parent, struct slice name)
{
    struct slice its_parent = entry->row == NULL ? SLICE_EMPTY : parent_of(entry->row);
    return slice_eq_nocase(its_parent, parent) && slice_eq_nocase(entry->name, name);
}

static size_t slot_of(const struct command_table *table, struct slice parent, struct slice name)
{
    size_t mask = table->index_size - 1;
    size_t at = name_hash(parent, name) & mask;
    while (table->index[at].name.len > 0 && !is_called(&table->index[at], parent, name))
        at = (at + 1) & mask;
    return at;
}

static const struct command_row *find_name(const struct command_table *table, struct slice parent,
                                           struct slice name)
{
    if (name.len > NAME_MAX_SIZE || parent.len > NAME_MAX_SIZE)
        return NULL;
    return table->index[slot_of(table, parent, name)].row;
}

/* By full name, so that a container stands right before its subcommands. */
static int compare_rows(const void *a, const void *b)
{
    const struct command_row *left = *(const struct command_row *const *)a;
    const struct command_row *right = *(const struct command_row *const *)b;
    struct slice left_top = slice_str(left->parent == NULL ? left->name : left->parent);
    struct slice right_top = slice_str(right->parent == NULL ? right->name : right->parent);
    int order = slice_cmp(left_top, right_top);
    if (order != 0)
        return order;
    struct slice left_sub = left->parent == NULL ? SLICE_EMPTY : slice_str(left->name);
    struct slice right_sub = right->parent == NULL ? SLICE_EMPTY : slice_str(right->name);
    return slice_cmp(left_sub, right_sub);
}

static void add_name(struct command_table *table, const struct command_row *row)
{
    ASSERT(strlen(row->name) <= NAME_MAX_SIZE);
    size_t slot = slot_of(table, parent_of(row), slice_str(row->name));
    ASSERT(table->index[slot].row == NULL); /* M1 */
    table->index[slot] = (struct entry){.row = row, .name = slice_str(row->name)};
    table->rows[table->row_count++] = row;
    table->top_count += row->parent == NULL;
}

static void add_row(struct command_table *table, const struct command_row *row)
{
    ASSERT((row->id == 0) == (row->scope == SCOPE_NODE));
    if ((row->flags & CMD_INTERNAL) == 0)
        add_name(table, row);
    if (row->id == 0)
        return;
    ASSERT(row->id < table->by_id_size && table->by_id[row->id] == NULL); /* M1 */
    table->by_id[row->id] = row;
}

/* ---- Numbers ---- */

static struct numbered *numbered_slot(const struct command_table *table,
                                      const struct command_row *row)
{
    size_t mask = table->numbered_size - 1;
    size_t at = (size_t)(hash_mix((uint64_t)(uintptr_t)row, 0) & mask);
    while (table->numbered[at].row != NULL && table->numbered[at].row != row)
        at = (at + 1) & mask;
    return &table->numbered[at];
}

static void give_numbers(struct command_table *table)
{
    table->number_of_id = mem_calloc(table->by_id_size, sizeof(*table->number_of_id));
    table->by_number = mem_calloc(table->row_count, sizeof(struct command_row *));
    table->numbered_size = table->index_size;
    table->numbered = mem_calloc(table->numbered_size, sizeof(*table->numbered));
    for (size_t i = 0; i < table->row_count; i++) {
        const struct command_row *row = table->rows[i];
        uint32_t number = table->number_count++;
        table->by_number[number] = row;
        if (row->id != 0)
            table->number_of_id[row->id] = number;
        else
            *numbered_slot(table, row) = (struct numbered){.row = row, .number = number};
    }
    for (size_t id = 1; id < table->by_id_size; id++) {
        const struct command_row *row = table->by_id[id];
        if (row == NULL || (row->flags & CMD_INTERNAL) == 0)
            continue;
        const struct command_row *named = find_name(table, parent_of(row), slice_str(row->name));
        ASSERT(named != NULL);
        table->number_of_id[id] = command_number(table, named);
    }
}

uint32_t command_number(const struct command_table *table, const struct command_row *row)
{
    return row->id != 0 ? table->number_of_id[row->id] : numbered_slot(table, row)->number;
}

uint32_t command_numbers(const struct command_table *table)
{
    return table->number_count;
}

const struct command_row *command_by_number(const struct command_table *table, uint32_t number)
{
    ASSERT(number < table->number_count);
    return table->by_number[number];
}

/* ---- Short names ---- */

static inline uint64_t load_u32(const uint8_t *from)
{
    uint32_t part;
    memcpy(&part, from, sizeof(part));
    return part;
}

/* One to eight bytes as a number; the parts may overlap. */
static inline uint64_t pack(struct slice name)
{
    const uint8_t *data = name.data;
    size_t len = name.len;
    if (len >= 4)
        return load_u32(data) | load_u32(data + len - 4) << (8 * (len - 4));
    size_t middle = len / 2;
    return data[0] | (uint64_t)data[middle] << (8 * middle) |
           (uint64_t)data[len - 1] << (8 * (len - 1));
}

/* The slot of the name, or the free one where it belongs. */
static inline struct quick *quick_slot(const struct command_table *table, uint64_t word, size_t len)
{
    size_t mask = ((size_t)1 << table->quick_bits) - 1;
    uint64_t mixed = (word | UINT64_C(0x2020202020202020)) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = mixed >> (64 - table->quick_bits);
    for (;; at = (at + 1) & mask) {
        struct quick *quick = &table->quick[at];
        if (quick->row == NULL || ((word | quick->letters) == quick->folded && len == quick->len))
            return quick;
    }
}

static void add_short_name(struct command_table *table, const struct entry *entry)
{
    uint64_t letters = 0;
    for (size_t i = 0; i < entry->name.len; i++)
        letters |= isalpha(entry->name.data[i]) ? UINT64_C(0x20) << (8 * i) : 0;
    uint64_t folded = pack(entry->name) | letters;
    *quick_slot(table, folded, entry->name.len) = (struct quick){.folded = folded,
                                                                 .letters = letters,
                                                                 .row = entry->row,
                                                                 .len = entry->name.len,
                                                                 .has_subs = entry->has_subs};
}

static void index_short_names(struct command_table *table)
{
    mem_free(table->quick);
    table->quick_bits = 4;
    while ((size_t)1 << table->quick_bits < table->top_count * 4)
        table->quick_bits++;
    table->quick = mem_calloc((size_t)1 << table->quick_bits, sizeof(*table->quick));
    for (size_t i = 0; i < table->index_size; i++) {
        const struct entry *entry = &table->index[i];
        if (entry->row != NULL && entry->row->parent == NULL && entry->name.len <= 8)
            add_short_name(table, entry);
    }
}

/* ---- Life ---- */

struct command_table *command_table_new(const struct command_family *const *families,
                                        size_t family_count)
{
    size_t row_count = 0;
    size_t highest_id = 0;
    for (size_t i = 0; i < family_count; i++) {
        row_count += families[i]->row_count;
        for (size_t j = 0; j < families[i]->row_count; j++) {
            if (families[i]->rows[j].id > highest_id)
                highest_id = families[i]->rows[j].id;
        }
    }
    struct command_table *table = mem_calloc(1, sizeof(*table));
    table->rows = mem_calloc(row_count, sizeof(struct command_row *));
    table->index_size = 64;
    while (table->index_size < row_count * 4)
        table->index_size *= 2;
    table->index = mem_calloc(table->index_size, sizeof(*table->index));
    table->by_id_size = highest_id + 1;
    table->by_id = mem_calloc(table->by_id_size, sizeof(struct command_row *));
    for (size_t i = 0; i < family_count; i++) {
        for (size_t j = 0; j < families[i]->row_count; j++)
            add_row(table, &families[i]->rows[j]);
    }
    for (size_t i = 0; i < table->row_count; i++) {
        if (table->rows[i]->parent != NULL)
            table->index[slot_of(table, SLICE_EMPTY, parent_of(table->rows[i]))].has_subs = true;
    }
    qsort(table->rows, table->row_count, sizeof(struct command_row *), compare_rows);
    give_numbers(table);
    index_short_names(table);
    return table;
}

void command_table_free(struct command_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->new_name_count; i++)
        mem_free(table->new_names[i]);
    mem_free(table->new_names);
    mem_free(table->rows);
    mem_free(table->index);
    mem_free(table->by_id);
    mem_free(table->number_of_id);
    mem_free(table->by_number);
    mem_free(table->numbered);
    mem_free(table->quick);
    mem_free(table);
}

/* ---- Other names ---- */

static bool is_part_of(const struct command_row *row, const struct command_row *top)
{
    return row == top || (row->parent != NULL && strcmp(row->parent, top->name) == 0);
}

static void unlist(struct command_table *table, const struct command_row *top)
{
    size_t first = 0;
    while (!is_part_of(table->rows[first], top))
        first++;
    size_t count = 1;
    while (first + count < table->row_count && is_part_of(table->rows[first + count], top))
        count++;
    /* They are neighbours; one by one they go behind all others. */
    for (size_t i = 0; i < count; i++) {
        const struct command_row *row = table->rows[first];
        size_t behind = table->row_count - first - 1;
        memmove(&table->rows[first], &table->rows[first + 1], behind * sizeof(*table->rows));
        table->rows[--table->row_count] = row;
    }
    table->unlisted_count += count;
    table->top_count--;
}

static void keep_name(struct command_table *table, char *name)
{
    table->new_names =
        mem_realloc(table->new_names, (table->new_name_count + 1) * sizeof(*table->new_names));
    table->new_names[table->new_name_count++] = name;
}

int command_table_rename(struct command_table *table, struct slice from, struct slice to)
{
    const struct command_row *row = find_name(table, SLICE_EMPTY, from);
    if (row == NULL)
        return ERR_NOT_FOUND;
    if (to.len > NAME_MAX_SIZE)
        return ERR_TOO_BIG;
    if (to.len > 0 && find_name(table, SLICE_EMPTY, to) != NULL)
        return ERR_EXISTS;
    struct entry *old = &table->index[slot_of(table, SLICE_EMPTY, from)];
    struct entry entry = *old;
    old->row = NULL;
    if (to.len == 0) {
        unlist(table, row);
        index_short_names(table);
        return 0;
    }
    /* The index is a quarter full at most, and names that were given up keep their places. */
    if (table->new_name_count >= table->index_size / 4)
        return ERR_TOO_BIG;
    char *name = mem_dup(to.data, to.len);
    keep_name(table, name);
    entry.name = slice_of(name, to.len);
    table->index[slot_of(table, SLICE_EMPTY, to)] = entry;
    index_short_names(table);
    return 0;
}

const struct command_row *command_by_own_name(const struct command_table *table, const char *name)
{
    for (size_t i = 0; i < table->row_count + table->unlisted_count; i++) {
        const struct command_row *row = table->rows[i];
        if (row->parent == NULL && strcmp(row->name, name) == 0)
            return row;
    }
    return NULL;
}

const struct command_row *command_find(const struct command_table *table, const struct slice *argv,
                                       uint32_t argc, const struct command_row **out_parent)
{
    *out_parent = NULL;
    const struct command_row *row;
    bool has_subs;
    if (LIKELY(argv[0].len - 1 < 8)) {
        const struct quick *quick = quick_slot(table, pack(argv[0]), argv[0].len);
        row = quick->row;
        has_subs = quick->has_subs;
    } else {
        if (argv[0].len > NAME_MAX_SIZE)
            return NULL;
        const struct entry *entry = &table->index[slot_of(table, SLICE_EMPTY, argv[0])];
        row = entry->row;
        has_subs = entry->has_subs;
    }
    if (LIKELY(row == NULL || argc < 2 || !has_subs))
        return row;
    const struct command_row *sub = find_name(table, slice_str(row->name), argv[1]);
    if (sub == NULL)
        *out_parent = row;
    return sub;
}

const struct command_row *command_by_id(const struct command_table *table, uint16_t id)
{
    return id < table->by_id_size ? table->by_id[id] : NULL;
}

size_t command_count(const struct command_table *table)
{
    return table->top_count;
}

size_t command_row_count(const struct command_table *table)
{
    return table->row_count;
}

const struct command_row *command_at(const struct command_table *table, size_t idx)
{
    ASSERT(idx < table->row_count);
    return table->rows[idx];
}

int command_signed_arity(const struct command_row *row)
{
    int min = (int)row->arity.min;
    return row->arity.max == row->arity.min ? min : -min;
}

static bool range_keys(const struct key_rule *rule, const struct slice *argv, uint32_t argc,
                       uint16_t db, command_key_fn on_key, void *ctx)
{
    int last = rule->last >= 0 ? rule->last : (int)argc + rule->last;
    if (last >= (int)argc)
        return false;
    for (int i = rule->first; i <= last; i += rule->step)
        on_key(ctx, db, argv[i]);
    return true;
}

static bool numkeys_keys(const struct key_rule *rule, const struct slice *argv, uint32_t argc,
                         uint16_t db, command_key_fn on_key, void *ctx)
{
    int64_t count;
    uint32_t at = (uint32_t)rule->first;
    if (at >= argc || !num_parse_i64(argv[at], &count) || count < 1 || count > argc - at - 1)
        return false;
    for (int64_t i = 0; i < count; i++)
        on_key(ctx, db, argv[at + 1 + (uint32_t)i]);
    return true;
}

enum keys_found command_keys(const struct command_table *table, const struct command_row *row,
                             const struct request *request, command_key_fn on_key, void *ctx)
{
    const struct slice *argv = request->argv;
    uint32_t argc = request->argc;
    uint16_t db = request->db;
    bool is_good = true;
    switch (row->keys.kind) {
    case KEY_RULE_NONE:
        break;
    case KEY_RULE_RANGE:
        is_good = range_keys(&row->keys, argv, argc, db, on_key, ctx);
        break;
    case KEY_RULE_NUMKEYS:
        is_good = numkeys_keys(&row->keys, argv, argc, db, on_key, ctx);
        break;
    case KEY_RULE_FN:
        return row->keys.fn(table, argv, argc, db, on_key, ctx);
    default:
        UNREACHABLE("all kinds of key rules are listed");
    }
    if (!is_good)
        return KEYS_MALFORMED;
    return row->scope == SCOPE_ALL ? KEYS_EVERYWHERE : KEYS_FOUND;
}
