/* SPDX-License-Identifier: Apache-2.0 */
/* What can be told of a configuration without opening anything (--check-config). A start finds the
 * same, and more. */
#include "base/err.h"
#include "server/server_internal.h"

#define PATH_SIZE 4096

static bool is_folder(const char *path)
{
    struct fs_stat st;
    return fs_stat(fs_posix(), path, &st) == 0 && st.is_dir;
}

static bool is_there(const char *path)
{
    struct fs_stat st;
    return fs_stat(fs_posix(), path, &st) == 0;
}

/* Is there a folder that `path` can be made in? True for a path too long to tell. */
static bool has_folder(const char *path)
{
    char folder[PATH_SIZE];
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    if (len == 0)
        return true; /* in the working directory */
    if (len >= sizeof(folder))
        return true;
    memcpy(folder, path, len);
    folder[len] = '\0';
    return is_folder(folder);
}

static int check_dir(const struct config *config, struct diag *diag)
{
    const char *dir = config_text(config, CONF_DIR);
    if (is_there(dir) && !is_folder(dir))
        return diag_set(diag, ERR_INVALID, "'dir': %.300s is no folder", dir);
    if (!is_there(dir) && !has_folder(dir))
        return diag_set(diag, ERR_INVALID,
                        "'dir': %.300s cannot be made: make the folder above it first", dir);
    return 0;
}

/* The file that `id` names would be made in a folder. */
static int check_file(const struct config *config, enum config_id id, struct diag *diag)
{
    const char *path = config_text(config, id);
    if (path[0] == '\0' || has_folder(path))
        return 0;
    return diag_set(diag, ERR_INVALID, "'%s': the folder of %.300s is not there",
                    config_row(id)->name, path);
}

int server_check_places(struct config *config, struct diag *diag)
{
    struct diag why = {.text = ""};
    int rc = server_check_bind(config, diag);
    if (rc == 0 && config_text(config, CONF_BIND)[0] == '\0' &&
        config_text(config, CONF_UNIX_SOCKET)[0] == '\0')
        rc = diag_set(diag, ERR_INVALID, "'bind' names no address, and there is no 'unixsocket'");
    if (rc == 0)
        rc = check_dir(config, diag);
    if (rc == 0)
        rc = check_file(config, CONF_LOGFILE, diag);
    if (rc == 0)
        rc = check_file(config, CONF_UNIX_SOCKET, diag);
    /* A start goes on without it. */
    if (rc == 0 && check_file(config, CONF_PIDFILE, &why) != 0)
        buf_append_format(&config->remarks, "%s: none will be written\n", why.text);
    return rc;
}
