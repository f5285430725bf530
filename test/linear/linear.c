/* SPDX-License-Identifier: Apache-2.0 */
/* linear: runs a server under load and judges the history of it. See README.md.
 *
 *   linear [--server FILE] [--dir DIR] [--placement NAME] [--seconds N] [--loads NAMES]
 *          [--expect-violation]
 *   linear --judge FILE
 *
 * SECONDS in the environment takes the place of --seconds, SEED of a seed from the clock. Exit: 0
 * if all was as it should be, 1 if not, 2 if the arguments are wrong.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/attr.h"
#include "base/num.h"
#include "linear/check.h"
#include "linear/load.h"

#define DEFAULT_SECONDS 13
#define MAX_LOAD_MS     1500
#define MAX_SHOWN       40 /* ops of a small history that are shown at once */

struct placement {
    const char *name;
    const char *options[12]; /* in pairs */
};

static const struct placement placements[] = {
    {"one-loop", {"--io-threads", "1", "--shards", "2"}},
    {"two-io", {"--io-threads", "2", "--shards", "3"}},
    {"two-io-two-shards", {"--io-threads", "2", "--shard-threads", "2", "--shards", "2"}},
};

/* Small segments, files and intervals: rotation and checkpoints all the time. */
static const char *const small_options[] = {
    "--log-segment-size",   "1mb",   "--data-file-size",          "1mb",
    "--max-entry-bytes",    "256kb", "--checkpoint-interval-ms",  "300",
    "--checkpoint-idle-ms", "0",     "--checkpoint-max-delay-ms", "600",
};

struct plan {
    const char *name;
    const char *kinds;
    bool is_cold;
    bool has_kill;
};

static const struct plan plans[] = {
    {.name = "registers", .kinds = "nt"},
    {.name = "groups", .kinds = "gggm"},
    {.name = "bank", .kinds = "b"},
    {.name = "appends", .kinds = "a"},
    {.name = "lives", .kinds = "l"},
    {.name = "pipelines", .kinds = "p"},
    {.name = "cold", .kinds = "ntgba", .is_cold = true},
    {.name = "kill", .kinds = STEP_LETTERS, .has_kill = true},
};

struct options {
    const char *server;
    const char *dir;
    const char *loads; /* names with commas; NULL: all */
    const struct placement *placement;
    unsigned seconds;
    bool expects_violation;
    uint64_t seed;
};

/* ---- Judging ---- */

static FILE *create(const char *dir, const char *name, const char *suffix)
{
    char path[TARGET_PATH + 128];
    snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        perror(path);
    else
        fprintf(stderr, "%s\n", path);
    return file;
}

static void save(const struct history *history, const char *dir, const char *name,
                 const char *suffix)
{
    FILE *file = create(dir, name, suffix);
    if (file == NULL)
        return;
    history_write(history, file);
    fclose(file);
}

static void explain_small(struct history *small)
{
    struct verdict verdict;
    fprintf(stderr, "the last %zu ops of the smallest history that shows it:\n",
            small->count < MAX_SHOWN ? small->count : (size_t)MAX_SHOWN);
    for (size_t i = small->count < MAX_SHOWN ? 0 : small->count - MAX_SHOWN; i < small->count; i++)
        history_write_op(&small->ops[i], stderr);
    check_history(small, CHECK_BUDGET, stderr, &verdict);
    verdict_fini(&verdict);
}

/* True if the history is right. */
static bool judge(struct history *history, const char *dir, const char *name)
{
    struct verdict verdict;
    check_history(history, CHECK_BUDGET, NULL, &verdict);
    bool is_right = verdict.bad_count == 0;
    printf("%s: %zu ops, %zu components, %zu undecided, %zu wrong\n", name, verdict.op_count,
           verdict.component_count, verdict.undecided_count, verdict.bad_count);
    fflush(stdout);
    if (!is_right) {
        fprintf(stderr, "%s: NOT strictly serializable. The history is kept in\n", name);
        save(history, dir, name, ".history");
        check_shrink(&verdict.bad, CHECK_BUDGET);
        save(&verdict.bad, dir, name, ".small.history");
        explain_small(&verdict.bad);
    }
    verdict_fini(&verdict);
    return is_right;
}

static int judge_file(const char *path)
{
    struct history history;
    struct verdict verdict;
    FILE *from = fopen(path, "r");
    if (from == NULL) {
        perror(path);
        return 2;
    }
    history_init(&history);
    size_t bad_line = history_read(&history, from);
    fclose(from);
    if (bad_line > 0) {
        fprintf(stderr, "%s:%zu: cannot be read\n", path, bad_line);
        history_fini(&history);
        return 2;
    }
    check_history(&history, CHECK_BUDGET, stdout, &verdict);
    bool is_right = verdict.bad_count == 0;
    printf("%zu ops, %zu components, %zu undecided, %zu wrong\n", verdict.op_count,
           verdict.component_count, verdict.undecided_count, verdict.bad_count);
    verdict_fini(&verdict);
    history_fini(&history);
    return is_right ? 0 : 1;
}

/* ---- Running ---- */

enum outcome { OUTCOME_RIGHT, OUTCOME_WRONG, OUTCOME_BROKEN };

static enum outcome run_plan(const struct options *options, struct target *target,
                             const struct plan *plan, unsigned pass, unsigned ms)
{
    char name[128];
    char keys[16];
    struct history history;
    history_init(&history);
    snprintf(name, sizeof(name), "%s-%s-%u", options->placement->name, plan->name, pass);
    snprintf(keys, sizeof(keys), "%.2s%u", plan->name, pass);
    struct load load = {.target = target,
                        .name = keys,
                        .kinds = plan->kinds,
                        .seed = options->seed + pass,
                        .ms = ms,
                        .is_cold = plan->is_cold,
                        .has_kill = plan->has_kill};
    enum outcome outcome = OUTCOME_BROKEN;
    if (load_run(&load, &history) == LOAD_DONE)
        outcome = judge(&history, options->dir, name) ? OUTCOME_RIGHT : OUTCOME_WRONG;
    else
        save(&history, options->dir, name, ".history");
    history_fini(&history);
    return outcome;
}

static bool is_wanted(const struct options *options, const struct plan *plan)
{
    if (options->loads == NULL)
        return true;
    size_t len = strlen(plan->name);
    for (const char *at = options->loads; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, plan->name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    }
    return false;
}

/* All loads, one after the other, again and again until the time is over. */
static enum outcome run_plans(const struct options *options, struct target *target)
{
    unsigned wanted = 0;
    for (size_t i = 0; i < ARRAY_COUNT(plans); i++)
        wanted += is_wanted(options, &plans[i]);
    if (wanted == 0) {
        fprintf(stderr, "no such load: %s\n", options->loads);
        return OUTCOME_BROKEN;
    }
    /* The rest of the time goes into judging. */
    unsigned ms = options->seconds * 1000 / wanted * 4 / 5;
    if (ms > MAX_LOAD_MS)
        ms = MAX_LOAD_MS;
    int64_t until_ns = client_now_ns() + (int64_t)options->seconds * 1000000000;
    for (unsigned pass = 0; pass == 0 || client_now_ns() < until_ns; pass++) {
        for (size_t i = 0; i < ARRAY_COUNT(plans); i++) {
            bool is_over = pass > 0 && client_now_ns() >= until_ns;
            if (is_over || !is_wanted(options, &plans[i]))
                continue;
            enum outcome outcome = run_plan(options, target, &plans[i], pass, ms);
            if (outcome != OUTCOME_RIGHT)
                return outcome;
        }
    }
    return OUTCOME_RIGHT;
}

static int run(const struct options *options)
{
    struct target target;
    char dir[TARGET_PATH];
    snprintf(dir, sizeof(dir), "%s/%s", options->dir, options->placement->name);
    target_init(&target, options->server, dir);
    for (size_t i = 0; options->placement->options[i] != NULL; i += 2)
        target_add_option(&target, options->placement->options[i],
                          options->placement->options[i + 1]);
    for (size_t i = 0; i < ARRAY_COUNT(small_options); i += 2)
        target_add_option(&target, small_options[i], small_options[i + 1]);
    printf("seed %" PRIu64 ", placement %s, %u s\n", options->seed, options->placement->name,
           options->seconds);
    fflush(stdout);
    enum outcome outcome = OUTCOME_BROKEN;
    if (target_start(&target)) {
        outcome = run_plans(options, &target);
        if (outcome == OUTCOME_RIGHT && !target_stop(&target))
            outcome = OUTCOME_BROKEN;
    }
    target_kill(&target);
    if (outcome != OUTCOME_BROKEN)
        target_remove(&target);
    if (options->expects_violation)
        printf(outcome == OUTCOME_WRONG ? "a violation was found, as expected\n"
                                        : "NO violation was found, but one was expected\n");
    return outcome == (options->expects_violation ? OUTCOME_WRONG : OUTCOME_RIGHT) ? 0 : 1;
}

/* ---- Arguments ---- */

static bool parse_seconds(const char *text, unsigned *out)
{
    uint64_t seconds;
    if (!num_parse_u64(slice_str(text), &seconds) || seconds == 0 || seconds > 1000000)
        return false;
    *out = (unsigned)seconds;
    return true;
}

static bool parse_placement(const char *text, const struct placement **out)
{
    for (size_t i = 0; i < ARRAY_COUNT(placements); i++) {
        if (strcmp(placements[i].name, text) == 0) {
            *out = &placements[i];
            return true;
        }
    }
    return false;
}

static bool parse_environment(struct options *options)
{
    const char *seconds = getenv("SECONDS");
    const char *seed = getenv("SEED");
    options->seed = (uint64_t)client_now_ns() / 1000;
    if (seconds != NULL && !parse_seconds(seconds, &options->seconds))
        return false;
    return seed == NULL || num_parse_u64(slice_str(seed), &options->seed);
}

static int usage(void)
{
    fprintf(stderr,
            "linear [--server FILE] [--dir DIR] [--placement NAME] [--seconds N]\n"
            "       [--loads NAMES] [--expect-violation]\n"
            "linear --judge FILE\nplacements:");
    for (size_t i = 0; i < ARRAY_COUNT(placements); i++)
        fprintf(stderr, " %s", placements[i].name);
    fprintf(stderr, "\nloads:");
    for (size_t i = 0; i < ARRAY_COUNT(plans); i++)
        fprintf(stderr, " %s", plans[i].name);
    fprintf(stderr, "\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"server", required_argument, NULL, 's'},    {"dir", required_argument, NULL, 'd'},
        {"placement", required_argument, NULL, 'p'}, {"seconds", required_argument, NULL, 't'},
        {"loads", required_argument, NULL, 'l'},     {"expect-violation", no_argument, NULL, 'x'},
        {"judge", required_argument, NULL, 'j'},     {NULL, 0, NULL, 0},
    };
    struct options options = {.server = "build/dev/ferric-server",
                              .dir = "build/linear",
                              .placement = &placements[0],
                              .seconds = DEFAULT_SECONDS};
    bool is_good = true;
    for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (name) {
        case 's':
            options.server = optarg;
            break;
        case 'd':
            options.dir = optarg;
            break;
        case 'p':
            is_good &= parse_placement(optarg, &options.placement);
            break;
        case 't':
            is_good &= parse_seconds(optarg, &options.seconds);
            break;
        case 'l':
            options.loads = optarg;
            break;
        case 'x':
            options.expects_violation = true;
            break;
        case 'j':
            return judge_file(optarg);
        default:
            is_good = false;
        }
    }
    if (!is_good || !parse_environment(&options) || optind < argc)
        return usage();
    return run(&options);
}
