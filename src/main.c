/* SPDX-License-Identifier: Apache-2.0 */
/* ferric-server [configuration file] [--directive value ...], or --help, or --version. */
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
        buf_append_str(&text, "Ferric " FERRIC_VERSION "\n");
    bool is_told = text.len > 0;
    fwrite(text.data, 1, text.len, stdout);
    buf_fini(&text);
    return is_told;
}

int main(int argc, char **argv)
{
    if (argc == 2 && tell(argv[1]))
        return fflush(stdout) == 0 ? 0 : 1;
    struct diag diag = {.text = ""};
    struct config *config = config_new();
    struct server *server = NULL;
    int rc = config_load_args(config, argc, argv, &diag);
    if (rc == 0)
        rc = server_new(config, &server, &diag);
    if (rc != 0) {
        fprintf(stderr, "ferric-server: %s\n", diag.text);
        _Exit(1); /* other threads may be running */
    }
    int status = server_run(server);
    server_free(server);
    return status;
}
