/* SPDX-License-Identifier: Apache-2.0 */
/* ferric-check verify|dump|stats|repair <directory> [options]; --help and --version. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check/check.h"
#include "os/process.h"

#define LOCK_WAIT_MS 3000
#define BAR_COLUMNS  40

enum { STDIN = 0, STDERR = 2 };

/* Of the progress: a bar where somebody looks, else a line each tenth. */
struct teller {
    bool has_terminal;
    bool has_bar; /* on the line of the cursor */
    const char *what;
    uint64_t told_tenths;
    bool has_failed; /* the output is gone */
};

static void clear_bar(struct teller *teller)
{
    if (teller->has_bar)
        output_write(STDERR, SLICE_LIT("\r\x1b[K"));
    teller->has_bar = false;
}

static void on_write(void *ctx, struct slice text)
{
    struct teller *teller = ctx;
    clear_bar(teller);
    if (text.len > 0 && fwrite(text.data, 1, text.len, stdout) != text.len)
        teller->has_failed = true;
    /* What is found is seen at once, and in its place between the lines of the progress. */
    if (teller->has_terminal)
        fflush(stdout);
}

static void put_bar(struct teller *teller, const char *what, unsigned percent, uint64_t columns)
{
    struct buf line = {0};
    buf_append_format(&line, "\r%-12s [", what);
    for (uint64_t i = 0; i < BAR_COLUMNS; i++)
        buf_append_byte(&line, i < columns ? '#' : '.');
    buf_append_format(&line, "] %3u%%", percent);
    output_write(STDERR, buf_slice(&line));
    buf_fini(&line);
    teller->has_bar = true;
}

static void on_progress(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    struct teller *teller = ctx;
    double part = total == 0 ? 1 : (double)done / (double)total;
    uint64_t tenths = (uint64_t)(part * 10);
    bool is_new = teller->what != what || done == 0;
    if (is_new && done == 0)
        teller->told_tenths = 0;
    teller->what = what;
    if (teller->has_terminal) {
        fflush(stdout);
        put_bar(teller, what, (unsigned)(part * 100), (uint64_t)(part * BAR_COLUMNS));
        if (done == total)
            clear_bar(teller);
        return;
    }
    if (tenths == teller->told_tenths)
        return;
    teller->told_tenths = tenths;
    struct buf line = {0};
    buf_append_format(&line, "%s: %u%%\n", what, (unsigned)(tenths * 10));
    output_write(STDERR, buf_slice(&line));
    buf_fini(&line);
}

static bool on_confirm(void *ctx, const char *question)
{
    struct teller *teller = ctx;
    clear_bar(teller);
    fflush(stdout);
    if (!output_is_terminal(STDIN) || !teller->has_terminal) {
        output_write(STDERR, SLICE_LIT("ferric-check: nobody can be asked: say --yes\n"));
        return false;
    }
    struct buf line = {0};
    buf_append_format(&line, "%s [yes/no] ", question);
    output_write(STDERR, buf_slice(&line));
    buf_fini(&line);
    char answer[16] = "";
    return fgets(answer, sizeof(answer), stdin) != NULL && strcmp(answer, "yes\n") == 0;
}

static int fail(const struct diag *diag)
{
    struct buf line = {0};
    buf_append_format(&line, "ferric-check: %s\n", diag->text);
    output_write(STDERR, buf_slice(&line));
    buf_fini(&line);
    return CHECK_FAILED;
}

static int tell(enum check_verb verb)
{
    struct buf text = {0};
    check_put_text(verb, &text);
    fwrite(text.data, 1, text.len, stdout);
    buf_fini(&text);
    return fflush(stdout) == 0 ? CHECK_SOUND : CHECK_FAILED;
}

int main(int argc, char **argv)
{
    struct diag diag = {.text = ""};
    struct check_request request;
    if (check_parse(argc, argv, &request, &diag) != 0)
        return fail(&diag);
    if (request.verb == CHECK_HELP || request.verb == CHECK_VERSION)
        return tell(request.verb);
    struct teller teller = {.has_terminal = output_is_terminal(STDERR)};
    const struct check_options options = {
        .os = os_posix(),
        .io = {.write = on_write, .progress = on_progress, .confirm = on_confirm, .ctx = &teller},
        .lock_wait_ms = LOCK_WAIT_MS,
    };
    int status = check_run(&request, &options, &diag);
    clear_bar(&teller);
    bool is_told = fflush(stdout) == 0 && !teller.has_failed;
    if (status == CHECK_FAILED)
        return fail(&diag);
    if (is_told)
        return status;
    diag_set(&diag, -EIO, "the output cannot be written");
    return fail(&diag);
}
