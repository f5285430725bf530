/* SPDX-License-Identifier: Apache-2.0 */
/* simdisk_image: the disk as a power loss behind a step may leave it.
 *
 * The tree is walked from the root; each name is given one of the states it may be in, and what
 * cannot be reached is gone. A folder that could be reached by two names (its rename was not
 * synced) keeps the first that is met.
 *
 * The bytes of a file are its settled part, the first n ops that are all durable, and then its
 * tail, of which the durable ops are applied and of the others what was kept. Kept is decided from
 * the newest op to the oldest, because two things tie the older to the newer:
 *
 *   - The cache holds whole sectors. If a sector was kept as a newer write left it, then what older
 *     writes had put into the rest of that sector was kept as well. Cutting a file in the middle
 *     of a sector writes that sector, too.
 *   - Truncations are kept in order, and a file is cut before it grows again: if anything that lay
 *     beyond the cut was kept of later ops, the cut was kept.
 *
 * So every sector is in a state that it really was in. Which ops are favoured is a matter of the
 * image's mood, so that seeds cover nothing, everything, a clean cut in time, and any mixture.
 */
#include "support/simdisk_internal.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define PREFIX_BYTES ((size_t)128 << 10)
#define PREFIX_OPS   256

enum mode { KEEP_SYNCED, KEEP_ALL, KEEP_BY_CHANCE };

enum mood { MOOD_NONE, MOOD_ALL, MOOD_CUT, MOOD_MIXED };

struct image {
    struct simdisk *from;
    struct simdisk *to;
    uint64_t step;
    enum mode mode;
    enum mood mood;
    unsigned keep_percent; /* of MOOD_MIXED */
    uint64_t cut_step;     /* of MOOD_CUT */
    uint64_t random;
    uint32_t *ids;       /* by id in `from`: the id in `to`, once copied */
    uint32_t *originals; /* the other way round */
};

static bool is_percent(struct image *image, unsigned percent)
{
    return sim_below(&image->random, 100) < percent;
}

static void pick_mood(struct image *image)
{
    static const unsigned percents[] = {5, 25, 50, 75, 95};
    uint64_t roll = sim_below(&image->random, 16);
    image->mood = roll == 0 ? MOOD_NONE : roll == 1 ? MOOD_ALL : roll < 6 ? MOOD_CUT : MOOD_MIXED;
    image->keep_percent = percents[sim_below(&image->random, ARRAY_COUNT(percents))];
    uint64_t window = image->step < 32 ? image->step : 32;
    image->cut_step = image->step - sim_below(&image->random, window + 1);
    if (image->mode == KEEP_SYNCED)
        image->mood = MOOD_NONE;
    if (image->mode == KEEP_ALL)
        image->mood = MOOD_ALL;
}

/* ---- The settled part of a file ---- */

static void insert_prefix(struct sim_inode *inode, size_t at, struct sim_prefix prefix)
{
    inode->prefixes = sim_grow(inode->prefixes, &inode->prefix_cap, inode->prefix_count,
                               sizeof(inode->prefixes[0]));
    memmove(&inode->prefixes[at + 1], &inode->prefixes[at],
            (inode->prefix_count - at) * sizeof(inode->prefixes[0]));
    inode->prefixes[at] = prefix;
    inode->prefix_count++;
}

/* The last of the kept states that was durable as a whole at `step`. Both grow together: a longer
 * prefix is never durable earlier. */
static size_t find_prefix(const struct sim_inode *inode, uint64_t step)
{
    size_t low = 1; /* the first always is */
    size_t high = inode->prefix_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (inode->prefixes[mid].durable <= step)
            low = mid + 1;
        else
            high = mid;
    }
    return low - 1;
}

/* The content behind the longest run of first ops that are all durable at `step`, for the caller
 * to unref; *out_next is the number of the op behind it. */
static struct content *settled(struct sim_inode *inode, uint64_t step, size_t *out_next)
{
    size_t at = find_prefix(inode, step);
    struct sim_prefix now = inode->prefixes[at];
    content_ref(now.content);
    size_t bytes = 0;
    size_t ops = 0;
    while (now.op_count < inode->op_count && inode->ops[now.op_count].durable <= step) {
        const struct sim_op *op = &inode->ops[now.op_count++];
        now.content = content_own(now.content);
        sim_apply_to(now.content, op);
        now.durable = op->durable > now.durable ? op->durable : now.durable;
        bytes += op->len;
        ops++;
        if (bytes >= PREFIX_BYTES || ops >= PREFIX_OPS) {
            content_ref(now.content);
            insert_prefix(inode, ++at, now);
            bytes = 0;
            ops = 0;
        }
    }
    *out_next = now.op_count;
    return now.content;
}

/* ---- The tail ---- */

/* What is kept of one op: by sector for a write, and whether the file has grown by it, which for a
 * truncation is whether it happened at all. */
struct kept {
    uint8_t *sectors;
    bool has_size;
};

struct tail {
    struct image *image;
    const struct sim_op *ops;
    size_t count;
    struct kept *kept; /* by op */
    uint8_t *flags;    /* all their sectors */
    uint8_t *is_tied;  /* by sector of the file: kept as a newer op left it */
    bool has_truncate; /* a newer truncation was kept */
    uint64_t reach;    /* how far what was kept of newer ops extends */
};

static size_t sector_count(const struct sim_op *op)
{
    if (op->kind != OP_WRITE)
        return 0;
    return (size_t)((op->off + op->len - 1) / SIM_SECTOR_SIZE - op->off / SIM_SECTOR_SIZE + 1);
}

/* The part of the i-th sector that the write covers. */
static void sector_part(const struct sim_op *op, size_t i, uint64_t *out_off, size_t *out_len)
{
    uint64_t first = (op->off / SIM_SECTOR_SIZE + i) * SIM_SECTOR_SIZE;
    uint64_t end = first + SIM_SECTOR_SIZE;
    uint64_t op_end = op->off + op->len;
    *out_off = op->off > first ? op->off : first;
    *out_len = (size_t)((op_end < end ? op_end : end) - *out_off);
}

/* Some sectors: a beginning, an end, all but one, one, or any. */
static void tear(struct image *image, struct kept *kept, size_t count)
{
    uint64_t how = sim_below(&image->random, 5);
    size_t at = (size_t)sim_below(&image->random, count);
    for (size_t i = 0; i < count; i++) {
        bool choices[] = {i < at, i >= at, i != at, i == at, is_percent(image, 50)};
        kept->sectors[i] = choices[how];
    }
}

/* Whole, torn or lost, as the mood is. */
static void draw(struct tail *tail, size_t op_idx)
{
    struct image *image = tail->image;
    struct kept *kept = &tail->kept[op_idx];
    size_t count = sector_count(&tail->ops[op_idx]);
    bool is_whole = image->mood == MOOD_ALL;
    bool is_torn = false;
    if (image->mood == MOOD_CUT) {
        is_whole = tail->ops[op_idx].step < image->cut_step;
        is_torn = tail->ops[op_idx].step == image->cut_step;
    } else if (image->mood == MOOD_MIXED) {
        is_whole = is_percent(image, image->keep_percent);
        is_torn = !is_whole && is_percent(image, 50);
    }
    memset(kept->sectors, is_whole, count);
    if (is_torn && count > 0)
        tear(image, kept, count);
    kept->has_size = is_whole || (is_torn && is_percent(image, 50)) ||
                     (image->mood == MOOD_MIXED && is_percent(image, 10));
}

/* Holds a write to what the newer ones have decided, and ties the older ones to it. */
static void tie_write(struct tail *tail, size_t op_idx)
{
    const struct sim_op *op = &tail->ops[op_idx];
    struct kept *kept = &tail->kept[op_idx];
    size_t count = sector_count(op);
    uint64_t first = op->off / SIM_SECTOR_SIZE;
    for (size_t i = 0; i < count; i++) {
        uint64_t off;
        size_t len;
        sector_part(op, i, &off, &len);
        if (tail->is_tied[first + i])
            kept->sectors[i] = true;
        if (!kept->sectors[i])
            continue;
        tail->is_tied[first + i] = true;
        tail->reach = off + len > tail->reach ? off + len : tail->reach;
    }
    if (kept->has_size && op->off + op->len > tail->reach)
        tail->reach = op->off + op->len;
}

/* Cutting a file within a sector writes that sector anew. */
static void tie_truncate(struct tail *tail, size_t op_idx)
{
    const struct sim_op *op = &tail->ops[op_idx];
    uint64_t sector = op->off / SIM_SECTOR_SIZE;
    bool is_needed = op->is_shrink && tail->reach > sector * SIM_SECTOR_SIZE;
    if (tail->has_truncate || is_needed)
        tail->kept[op_idx].has_size = true;
    if (!tail->kept[op_idx].has_size)
        return;
    tail->has_truncate = true;
    if (op->is_shrink && op->off % SIM_SECTOR_SIZE != 0)
        tail->is_tied[sector] = true;
}

static bool is_durable(const struct tail *tail, const struct sim_op *op)
{
    return op->durable <= tail->image->step;
}

static void decide(struct tail *tail)
{
    for (size_t i = tail->count; i-- > 0;) {
        const struct sim_op *op = &tail->ops[i];
        struct kept *kept = &tail->kept[i];
        draw(tail, i);
        if (is_durable(tail, op)) {
            kept->has_size = true;
            memset(kept->sectors, true, sector_count(op));
        }
        if (op->kind == OP_WRITE)
            tie_write(tail, i);
        if (op->kind == OP_TRUNCATE)
            tie_truncate(tail, i);
    }
}

static void apply_write(struct content *content, const struct sim_op *op, const struct kept *kept)
{
    size_t count = sector_count(op);
    for (size_t i = 0; i < count;) {
        uint64_t off;
        size_t len;
        sector_part(op, i, &off, &len);
        bool is_kept = kept->sectors[i++];
        for (; is_kept && i < count && kept->sectors[i]; i++) {
            uint64_t part_off;
            size_t part_len;
            sector_part(op, i, &part_off, &part_len);
            len += part_len;
        }
        const uint8_t *data = op->data == NULL ? NULL : op->data + (off - op->off);
        if (is_kept)
            content_write(content, off, data, len);
    }
    if (kept->has_size && content->size < op->off + op->len)
        content_resize(content, op->off + op->len);
}

static struct content *apply_tail(const struct tail *tail, struct content *content)
{
    for (size_t i = 0; i < tail->count; i++) {
        const struct sim_op *op = &tail->ops[i];
        content = content_own(content);
        if (op->kind == OP_WRITE)
            apply_write(content, op, &tail->kept[i]);
        else if (op->kind == OP_FLIP || tail->kept[i].has_size)
            sim_apply_to(content, op);
    }
    return content;
}

static struct content *with_tail(struct image *image, const struct sim_inode *inode, size_t next,
                                 struct content *content)
{
    struct tail tail = {.image = image, .ops = inode->ops + next};
    size_t sectors = 0;
    uint64_t end = 0;
    while (next + tail.count < inode->op_count && tail.ops[tail.count].step <= image->step) {
        const struct sim_op *op = &tail.ops[tail.count++];
        sectors += sector_count(op);
        end = op->off + op->len > end ? op->off + op->len : end;
    }
    if (tail.count == 0)
        return content;
    tail.kept = mem_calloc(tail.count, sizeof(*tail.kept));
    tail.flags = mem_calloc(sectors, 1);
    tail.is_tied = mem_calloc((size_t)(end / SIM_SECTOR_SIZE + 1), 1);
    size_t at = 0;
    for (size_t i = 0; i < tail.count; i++) {
        tail.kept[i].sectors = tail.flags + at;
        at += sector_count(&tail.ops[i]);
    }
    decide(&tail);
    content = apply_tail(&tail, content);
    mem_free(tail.kept);
    mem_free(tail.flags);
    mem_free(tail.is_tied);
    return content;
}

/* ---- The tree ---- */

static uint64_t synced_at(const struct sim_inode *dir, uint64_t step)
{
    uint64_t last = 0;
    for (size_t i = 0; i < dir->sync_count && dir->syncs[i] <= step; i++)
        last = dir->syncs[i];
    return last;
}

/* The number of the last state by `step`: states are numbered from 1, 0 is "not there". */
static size_t state_by(const struct sim_name *name, uint64_t step)
{
    size_t count = 0;
    while (count < name->state_count && name->states[count].step <= step)
        count++;
    return count;
}

/* The state the name was in when its folder was synced, or any since. */
static uint32_t pick_state(struct image *image, const struct sim_name *name, uint64_t synced)
{
    size_t begin = state_by(name, synced);
    size_t end = state_by(name, image->step);
    size_t pick = begin;
    if (image->mood == MOOD_ALL)
        pick = end;
    else if (image->mood == MOOD_CUT)
        pick = state_by(name, synced > image->cut_step ? synced : image->cut_step);
    else if (image->mood == MOOD_MIXED)
        pick = begin + (size_t)sim_below(&image->random, end - begin + 1);
    return pick == 0 ? SIM_NO_INODE : name->states[pick - 1].inode_id;
}

/* The inode's copy in the new disk, or NULL for a folder that has one already. */
static struct sim_inode *copy_inode(struct image *image, struct sim_inode *inode)
{
    uint32_t *id = &image->ids[inode->id];
    if (*id != SIM_NO_INODE)
        return inode->is_dir ? NULL : image->to->inodes[*id];
    struct content *content = NULL;
    if (!inode->is_dir) {
        size_t next = 0;
        content = settled(inode, image->step, &next);
        content = with_tail(image, inode, next, content);
    }
    struct sim_inode *copy = sim_inode_new(image->to, content);
    *id = copy->id;
    image->originals[copy->id] = inode->id;
    return copy;
}

static void copy_dir(struct image *image, const struct sim_inode *dir)
{
    struct sim_inode *copy = image->to->inodes[image->ids[dir->id]];
    uint64_t synced = synced_at(dir, image->step);
    for (size_t i = 0; i < dir->name_count; i++) {
        uint32_t id = pick_state(image, &dir->names[i], synced);
        if (id == SIM_NO_INODE)
            continue;
        struct sim_inode *inode = copy_inode(image, image->from->inodes[id]);
        if (inode != NULL)
            sim_add_name(image->to, copy, dir->names[i].text, inode);
    }
}

/* Folders are copied in the order in which the new disk has numbered them. */
static void copy_tree(struct image *image)
{
    size_t count = image->from->inode_count;
    image->ids = mem_calloc(count, sizeof(*image->ids));
    image->originals = mem_calloc(count, sizeof(*image->originals));
    image->ids[SIM_ROOT_INODE] = SIM_ROOT_INODE;
    image->originals[SIM_ROOT_INODE] = SIM_ROOT_INODE;
    for (size_t id = SIM_ROOT_INODE; id < image->to->inode_count; id++)
        if (image->to->inodes[id]->is_dir)
            copy_dir(image, image->from->inodes[image->originals[id]]);
    mem_free(image->originals);
    mem_free(image->ids);
}

static struct simdisk *make(struct simdisk *disk, uint64_t step, enum mode mode, uint64_t seed)
{
    struct image image = {
        .from = disk,
        .to = simdisk_new(seed),
        .step = step,
        .mode = mode,
        .random = seed ^ (step * UINT64_C(0xd1342543de82ef95)),
    };
    pick_mood(&image);
    lock_take(&disk->lock);
    ASSERT(step <= disk->step_count);
    image.to->capacity_pages = disk->capacity_pages;
    copy_tree(&image);
    lock_drop(&disk->lock);
    return image.to;
}

struct simdisk *simdisk_image(struct simdisk *disk, uint64_t step, uint64_t seed)
{
    return make(disk, step, KEEP_BY_CHANCE, seed);
}

struct simdisk *simdisk_image_synced(struct simdisk *disk, uint64_t step)
{
    return make(disk, step, KEEP_SYNCED, 0);
}

struct simdisk *simdisk_image_all(struct simdisk *disk, uint64_t step)
{
    return make(disk, step, KEEP_ALL, 0);
}
