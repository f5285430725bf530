/* SPDX-License-Identifier: Apache-2.0 */
/* What is done once all of the configuration has been read. */
#include "base/err.h"
#include "os/process.h"
#include "server/config.h"

/* The server's own folder is told to others, and written to files that are read elsewhere. */
static int settle_dir(struct config *config, struct diag *diag)
{
    struct buf *text = &config->values[CONF_DIR].text;
    if (text->len == 0)
        return diag_set(diag, ERR_INVALID, "'dir': give the path of a folder");
    struct buf path = {0};
    int rc = process_absolute_path(config_text(config, CONF_DIR), &path);
    if (rc != 0) {
        buf_fini(&path);
        return diag_set(diag, rc, "'dir': the working directory cannot be told: %s", err_text(rc));
    }
    buf_fini(text);
    *text = path;
    return 0;
}

int config_settle(struct config *config, struct diag *diag)
{
    return settle_dir(config, diag);
}
