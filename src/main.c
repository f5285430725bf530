/* SPDX-License-Identifier: Apache-2.0 */
/* ferric-server [configuration file | -] [--directive value ...], with --check-config in front or
 * among the directives; --help or --version anywhere says that and no more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/server.h"

static bool is_any(const char *word, const char *name, const char *letter, bool takes_letter)
{
    return strcmp(word, name) == 0 || (takes_letter && strcmp(word, letter) == 0);
}

/* Prints what is asked for instead of a server; false if nothing is. No value begins with two
 * dashes; a letter is none only where a directive would begin. */
static bool tell(int argc, char **argv)
{
    struct buf text = {0};
    for (int i = 1; i < argc && text.len == 0; i++) {
        bool takes_letter = i == 1 || (i == 2 && strncmp(argv[1], "--", 2) != 0);
        if (is_any(argv[i], "--help", "-h", takes_letter))
            config_put_usage(&text);
        else if (is_any(argv[i], "--version", "-v", takes_letter))
            buf_append_str(&text, "Ferric " FERRIC_VERSION " (" FERRIC_BUILD ")\n");
    }
    bool is_told = text.len > 0;
    if (is_told)
        fwrite(text.data, 1, text.len, stdout);
    buf_fini(&text);
    return is_told;
}

/* Takes the configuration. */
static int check(struct config *config, struct diag *diag)
{
    int rc = server_check(config, diag);
    if (rc == 0)
        printf(
            "%.*sno mistake found. Nothing was opened: whether addresses are free, and files and "
            "data can be read and written, a start shows\n",
            SLICE_FMT(buf_slice(&config->remarks)));
    config_free(config);
    if (rc != 0)
        fprintf(stderr, "ferric-server: %s\n", diag->text);
    return rc == 0 && fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (tell(argc, argv))
        return fflush(stdout) == 0 ? 0 : 1;
    struct diag diag = {.text = ""};
    struct config *config = config_new();
    struct server *server = NULL;
    int rc = config_load_args(config, argc, argv, &diag);
    if (rc == 0 && config->is_check)
        return check(config, &diag);
    if (rc == 0)
        rc = server_new(config, &server, &diag);
    if (rc == 0)
        rc = server_recover(server, &diag);
    if (rc != 0) {
        fprintf(stderr, "ferric-server: %s\n", diag.text);
        _Exit(1); /* other threads may be running */
    }
    int status = server_run(server);
    server_free(server);
    return status;
}
