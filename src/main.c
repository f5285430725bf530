/* SPDX-License-Identifier: Apache-2.0 */
/* ferric-server [configuration file] [--directive value ...] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/server.h"

/* --help and --version start nothing. True if it was one of them. */
static bool tell(const char *arg)
{
    struct buf text = {0};
    if (strcmp(arg, "--help") == 0)
        config_put_help(&text);
    else if (strcmp(arg, "--version") == 0)
        buf_append_str(&text, "Ferric " FERRIC_VERSION "\n");
    fwrite(text.data, 1, text.len, stdout);
    bool has_told = text.len > 0;
    buf_fini(&text);
    return has_told;
}

int main(int argc, char **argv)
{
    if (argc == 2 && tell(argv[1]))
        return 0;
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
