/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <string.h>

#include "base/err.h"
#include "base/version.h"

static const struct {
    const char *name;
    enum check_verb verb;
} verbs[] = {
    {"verify", CHECK_VERIFY},
    {"dump", CHECK_DUMP},
    {"repair", CHECK_REPAIR},
    {"stats", CHECK_STATS},
};

static const char usage[] =
    "ferric-check looks at a data directory of Ferric that no server uses.\n"
    "\n"
    "  ferric-check verify DIR                         is all of it sound?\n"
    "  ferric-check dump DIR|FILE [--json] [--full]    what is in it, record by record\n"
    "  ferric-check stats DIR [--json]                 what the bytes are used for\n"
    "  ferric-check repair DIR [--yes]                 takes out what is damaged\n"
    "\n"
    "verify    reads every file as a start of the server would and names all damage it finds with\n"
    "          file, offset, and the keys or log indices affected.\n"
    "dump      prints manifest, data files, hints and log, or a single file of them. Values are "
    "cut\n"
    "          at 256 bytes without --full. --json: an object a line; what is no UTF-8 stands in\n"
    "          base64 under another name.\n"
    "stats     counts live and dead bytes, keys by shard and database. It needs the memory for "
    "all\n"
    "          keys, as the server does.\n"
    "repair    copies what is damaged to DIR/quarantine and makes a directory of the rest that "
    "the\n"
    "          server starts on. It says which keys and log entries are lost; older values of "
    "such\n"
    "          keys may be back. Restoring a backup is better. Without --yes it asks.\n"
    "\n"
    "  -h, --help       this text\n"
    "  -v, --version    the version\n"
    "\n"
    "Only repair changes anything. Exit codes: 0 sound, or repaired; 1 damage was found, or is "
    "left;\n"
    "2 nothing could be checked (wrong arguments, directory in use or of another version, not "
    "readable).\n";

static bool is_option(const char *word, const char *name, const char *letter)
{
    return strcmp(word, name) == 0 || (letter != NULL && strcmp(word, letter) == 0);
}

static int parse_option(const char *word, struct check_request *request, struct diag *diag)
{
    bool takes_json = request->verb == CHECK_DUMP || request->verb == CHECK_STATS;
    if (takes_json && is_option(word, "--json", NULL))
        request->is_json = true;
    else if (request->verb == CHECK_DUMP && is_option(word, "--full", NULL))
        request->is_full = true;
    else if (request->verb == CHECK_REPAIR && is_option(word, "--yes", "-y"))
        request->is_yes = true;
    else
        return diag_set(diag, ERR_INVALID, "'%.200s' is no option here; see --help", word);
    return 0;
}

static int parse_verb(const char *word, struct check_request *request, struct diag *diag)
{
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (strcmp(verbs[i].name, word) == 0) {
            request->verb = verbs[i].verb;
            return 0;
        }
    }
    return diag_set(diag, ERR_INVALID,
                    "'%.200s' is nothing to do: verify, dump, stats or repair; see --help", word);
}

int check_parse(int argc, char **argv, struct check_request *out_request, struct diag *diag)
{
    struct check_request request = {.verb = CHECK_HELP};
    for (int i = 1; i < argc; i++) {
        bool is_version = is_option(argv[i], "--version", "-v");
        if (is_version || is_option(argv[i], "--help", "-h")) {
            *out_request = (struct check_request){.verb = is_version ? CHECK_VERSION : CHECK_HELP};
            return 0;
        }
    }
    if (argc < 2)
        return diag_set(diag, ERR_INVALID, "what to do is missing; see --help");
    int rc = parse_verb(argv[1], &request, diag);
    bool is_literal = false; /* behind "--" */
    for (int i = 2; rc == 0 && i < argc; i++) {
        if (!is_literal && strcmp(argv[i], "--") == 0)
            is_literal = true;
        else if (!is_literal && argv[i][0] == '-')
            rc = parse_option(argv[i], &request, diag);
        else if (request.path != NULL || argv[i][0] == '\0')
            rc = diag_set(diag, ERR_INVALID, "one directory at a time; see --help");
        else
            request.path = argv[i];
    }
    if (rc == 0 && request.path == NULL)
        rc = diag_set(diag, ERR_INVALID, "the directory is missing; see --help");
    if (rc == 0)
        *out_request = request;
    return rc;
}

void check_put_text(enum check_verb verb, struct buf *to)
{
    if (verb == CHECK_VERSION)
        buf_append_str(to, "ferric-check " FERRIC_VERSION " (" FERRIC_BUILD ")\n");
    else
        buf_append_str(to, usage);
}

static bool say_yes(void *ctx, const char *question)
{
    (void)ctx;
    (void)question;
    return true;
}

int check_run(const struct check_request *request, const struct check_options *options,
              struct diag *diag)
{
    struct check_options with = *options;
    with.dir = request->path;
    with.is_json = request->is_json;
    with.is_full = request->is_full;
    if (request->is_yes)
        with.io.confirm = say_yes;
    switch (request->verb) {
    case CHECK_VERIFY:
        return check_verify(&with, diag);
    case CHECK_DUMP:
        return check_dump(&with, diag);
    case CHECK_STATS:
        return check_stats(&with, diag);
    case CHECK_REPAIR:
        return check_repair(&with, diag);
    case CHECK_HELP:
    case CHECK_VERSION:
        break;
    }
    return diag_set(diag, CHECK_FAILED, "nothing to do");
}
