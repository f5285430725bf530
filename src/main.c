/* SPDX-License-Identifier: Apache-2.0 */
/* ferric-server [configuration file] [--directive value ...] */
#include <stdio.h>
#include <stdlib.h>

#include "server/server.h"

int main(int argc, char **argv)
{
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
