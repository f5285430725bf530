/* SPDX-License-Identifier: Apache-2.0 */
/* What is done once all of the configuration has been read. */
#include "base/err.h"
#include "os/process.h"
#include "server/config/config_internal.h"

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
    buf_terminate(&path);
    *text = path;
    return 0;
}

/* Those that are only remembered are told in one line, as far as it holds them. */
#define NAMES_SIZE 1500

static bool is_remembered(enum config_id id)
{
    return id >= CONF_COUNT || id == CONF_HZ || id == CONF_MAXMEMORY_POLICY;
}

static bool is_at_default(const struct config *config, const struct config *defaults,
                          enum config_id id)
{
    struct buf value = {0};
    config_format(defaults, id, &value);
    bool is_equal = config_is_now(config, id, buf_slice(&value));
    buf_fini(&value);
    return is_equal;
}

static void remark_on_remembered(struct config *config)
{
    struct config *defaults = config_new();
    struct buf names = {0};
    unsigned more = 0;
    for (size_t i = 0; i < CONFIG_ROWS; i++) {
        enum config_id id = (enum config_id)i;
        if (!config->is_given[id] || !is_remembered(id) || is_at_default(config, defaults, id))
            continue;
        if (names.len < NAMES_SIZE)
            buf_append_format(&names, "%s%s", names.len > 0 ? ", " : "", config_row(id)->name);
        else
            more++;
    }
    if (more > 0)
        buf_append_format(&names, " and %u more", more);
    if (names.len > 0)
        buf_append_format(&config->remarks,
                          "only remembered, and without effect here: %.*s: see "
                          "docs/remembered.md\n",
                          SLICE_FMT(buf_slice(&names)));
    buf_fini(&names);
    config_free(defaults);
}

static void remark_on_entry_size(struct config *config)
{
    uint64_t most = config_number(config, CONF_LOG_SEGMENT_SIZE) / 2;
    if (config_number(config, CONF_MAX_ENTRY_BYTES) > most)
        buf_append_format(&config->remarks,
                          "max-entry-bytes counts as %llu, half of log-segment-size\n",
                          (unsigned long long)most);
}

int config_settle(struct config *config, struct diag *diag)
{
    config_remark(config, CONF_SAVE);
    config_remark(config, CONF_MAXMEMORY);
    remark_on_entry_size(config);
    remark_on_remembered(config);
    return settle_dir(config, diag);
}
