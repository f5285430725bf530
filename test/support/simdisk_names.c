/* SPDX-License-Identifier: Apache-2.0 */
/* simdisk_names: inodes, and folders whose names remember all that they have stood for. */
#include "support/simdisk_internal.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

struct sim_inode *sim_inode_new(struct simdisk *disk, struct content *base)
{
    struct sim_inode *inode = mem_calloc(1, sizeof(*inode));
    disk->inodes =
        sim_grow(disk->inodes, &disk->inode_cap, disk->inode_count, sizeof(disk->inodes[0]));
    inode->id = (uint32_t)disk->inode_count;
    inode->is_dir = base == NULL;
    disk->inodes[disk->inode_count++] = inode;
    if (base == NULL)
        return inode;
    inode->prefixes = sim_grow(NULL, &inode->prefix_cap, 0, sizeof(inode->prefixes[0]));
    inode->prefixes[inode->prefix_count++] = (struct sim_prefix){.content = content_ref(base)};
    inode->live = base;
    disk->used_pages += base->page_count;
    return inode;
}

void sim_inode_free(struct sim_inode *inode)
{
    content_unref(inode->live);
    for (size_t i = 0; i < inode->prefix_count; i++)
        content_unref(inode->prefixes[i].content);
    for (size_t i = 0; i < inode->name_count; i++) {
        mem_free(inode->names[i].text);
        mem_free(inode->names[i].states);
    }
    mem_free(inode->prefixes);
    mem_free(inode->names);
    mem_free(inode->syncs);
    mem_free(inode->ops);
    mem_free(inode);
}

void sim_inode_settle(struct simdisk *disk, struct sim_inode *inode)
{
    if (inode->is_dir || inode->live == NULL || inode->link_count + inode->open_count > 0)
        return;
    disk->used_pages -= inode->live->page_count;
    content_unref(inode->live);
    inode->live = NULL;
}

/* ---- Paths ---- */

/* The next part of a path that is not "." into `name`: 1, 0 at the end, or an error. */
static int next_part(const char **path, char name[SIM_NAME_MAX + 1])
{
    for (;;) {
        *path += strspn(*path, "/");
        size_t len = strcspn(*path, "/");
        if (len == 0)
            return 0;
        if (len > SIM_NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(name, *path, len);
        name[len] = '\0';
        *path += len;
        if (strcmp(name, "..") == 0)
            return -EINVAL;
        if (strcmp(name, ".") != 0)
            return 1;
    }
}

int sim_resolve(struct simdisk *disk, const char *path, struct sim_place *out_place)
{
    struct sim_inode *dir = disk->inodes[SIM_ROOT_INODE];
    struct sim_place place = {.dir = dir};
    char name[SIM_NAME_MAX + 1];
    for (;;) {
        int rc = next_part(&path, name);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            *out_place = place;
            return 0;
        }
        if (place.name[0] != '\0')
            dir = sim_look_up(disk, dir, place.name);
        if (dir == NULL)
            return -ENOENT;
        if (!dir->is_dir)
            return -ENOTDIR;
        place.dir = dir;
        memcpy(place.name, name, sizeof(name));
    }
}

static struct sim_name *find_name(const struct sim_inode *dir, const char *name)
{
    for (size_t i = 0; i < dir->name_count; i++)
        if (strcmp(dir->names[i].text, name) == 0)
            return &dir->names[i];
    return NULL;
}

static uint32_t id_now(const struct sim_name *name)
{
    return name->states[name->state_count - 1].inode_id;
}

struct sim_inode *sim_look_up(struct simdisk *disk, const struct sim_inode *dir, const char *name)
{
    const struct sim_name *found = find_name(dir, name);
    return found == NULL ? NULL : disk->inodes[id_now(found)];
}

int sim_find(struct simdisk *disk, const char *path, struct sim_inode **out_inode)
{
    struct sim_place place;
    int rc = sim_resolve(disk, path, &place);
    if (rc < 0)
        return rc;
    struct sim_inode *inode = place.dir;
    if (place.name[0] != '\0')
        inode = sim_look_up(disk, place.dir, place.name);
    if (inode == NULL)
        return -ENOENT;
    *out_inode = inode;
    return 0;
}

bool sim_dir_is_empty(const struct sim_inode *dir)
{
    for (size_t i = 0; i < dir->name_count; i++)
        if (id_now(&dir->names[i]) != SIM_NO_INODE)
            return false;
    return true;
}

static void push_state(struct simdisk *disk, struct sim_inode *dir, struct sim_name *name,
                       struct sim_inode *inode)
{
    name->states =
        sim_grow(name->states, &name->state_cap, name->state_count, sizeof(name->states[0]));
    name->states[name->state_count++] = (struct sim_name_state){
        .step = disk->step_count,
        .inode_id = inode == NULL ? SIM_NO_INODE : inode->id,
    };
    if (inode == NULL)
        return;
    inode->link_count += inode->is_dir ? 2 : 1;
    inode->parent_id = dir->id;
}

void sim_add_name(struct simdisk *disk, struct sim_inode *dir, const char *name,
                  struct sim_inode *inode)
{
    dir->names = sim_grow(dir->names, &dir->name_cap, dir->name_count, sizeof(dir->names[0]));
    struct sim_name *added = &dir->names[dir->name_count++];
    *added = (struct sim_name){.text = mem_dup_str(name)};
    push_state(disk, dir, added, inode);
}

void sim_set_name(struct simdisk *disk, struct sim_inode *dir, const char *name,
                  struct sim_inode *inode)
{
    struct sim_name *found = find_name(dir, name);
    if (found == NULL) {
        sim_add_name(disk, dir, name, inode);
        return;
    }
    struct sim_inode *before = disk->inodes[id_now(found)];
    push_state(disk, dir, found, inode);
    if (before != NULL) {
        before->link_count -= before->is_dir ? 2 : 1;
        sim_inode_settle(disk, before);
    }
}
