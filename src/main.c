/* SPDX-License-Identifier: Apache-2.0 */
/* ferric-server [configuration file] [--directive value ...] */
#include <stdio.h>

#include "server/server.h"

int main(int argc, char **argv)
{
    struct diag diag = {.text = ""};
    struct config config;
    config_init(&config);
    if (config_load_args(&config, argc, argv, &diag) != 0) {
        fprintf(stderr, "ferric-server: %s\n", diag.text);
        return 1;
    }
    struct server *server;
    if (server_new(&config, &server, &diag) != 0) {
        fprintf(stderr, "ferric-server: %s\n", diag.text);
        return 1;
    }
    int status = server_run(server);
    server_free(server);
    return status;
}
