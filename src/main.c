/* SPDX-License-Identifier: Apache-2.0 */
/* ferric-server [configuration file | -] [--directive value ...], or with --check-config in front,
 * or --help, or --version. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/server.h"

static bool is_either(const char *word, const char *name, const char *letter)
{
    return strcmp(word, name) == 0 || strcmp(word, letter) == 0;
}

/* Prints what is asked for instead of a server; false if nothing is. */
static bool tell(const char *word)
{
    struct buf text = {0};
    if (is_either(word, "--help", "-h"))
        config_put_usage(&text);
    else if (is_either(word, "--version", "-v"))
        buf_append_str(&text, "Ferric " FERRIC_VERSION " (" FERRIC_BUILD ")\n");
    bool is_told = text.len > 0;
    if (is_told)
        fwrite(text.data, 1, text.len, stdout);
    buf_fini(&text);
    return is_told;
}

static int check(struct config *config, int argc, char **argv)
{
    struct diag diag = {.text = ""};
    int rc = config_load_args(config, argc, argv, &diag);
    if (rc == 0)
        rc = server_check(config, &diag);
    if (rc != 0)
        fprintf(stderr, "ferric-server: %s\n", diag.text);
    else
        printf("%.*sthe configuration can be served\n", SLICE_FMT(buf_slice(&config->remarks)));
    config_free(config);
    return rc == 0 && fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && tell(argv[1]))
        return fflush(stdout) == 0 ? 0 : 1;
    struct diag diag = {.text = ""};
    struct config *config = config_new();
    struct server *server = NULL;
    if (argc > 1 && strcmp(argv[1], "--check-config") == 0)
        return check(config, argc - 1, argv + 1);
    int rc = config_load_args(config, argc, argv, &diag);
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
