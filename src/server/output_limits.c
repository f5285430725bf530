/* SPDX-License-Identifier: Apache-2.0 */
#include "server/output_limits.h"

#include "base/err.h"
#include "base/num.h"

#define MAX_WORDS 64

static const char *const class_names[CLIENT_CLASSES] = {
    [CLIENT_NORMAL] = "normal", [CLIENT_REPLICA] = "slave", [CLIENT_PUBSUB] = "pubsub"};

/* The next word of a text, taken off; empty at its end. */
static struct slice take_word(struct slice *text)
{
    size_t from = 0;
    while (from < text->len && text->data[from] == ' ')
        from++;
    size_t to = from;
    while (to < text->len && text->data[to] != ' ')
        to++;
    struct slice word = slice_sub(*text, from, to - from);
    *text = slice_sub(*text, to, SIZE_MAX);
    return word;
}

/* All words of all arguments; SIZE_MAX if there are too many. */
static size_t split(const struct slice *args, size_t count, struct slice *words)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        struct slice rest = args[i];
        for (struct slice word = take_word(&rest); word.len > 0; word = take_word(&rest)) {
            if (total == MAX_WORDS)
                return SIZE_MAX;
            words[total++] = word;
        }
    }
    return total;
}

static bool find_class(struct slice word, size_t *out_class)
{
    for (size_t i = 0; i < CLIENT_CLASSES; i++) {
        if (slice_is(word, class_names[i])) {
            *out_class = i;
            return true;
        }
    }
    *out_class = CLIENT_REPLICA;
    return slice_is(word, "replica");
}

int output_limits_parse(struct output_limits *limits, const struct slice *args, size_t count,
                        struct diag *diag)
{
    struct slice words[MAX_WORDS];
    struct output_limits changed = *limits;
    size_t total = split(args, count, words);
    if (total % 4 != 0) /* SIZE_MAX, too */
        return diag_set(diag, ERR_INVALID,
                        "Wrong number of arguments in buffer limit configuration.");
    for (size_t i = 0; i < total; i += 4) {
        size_t class;
        int64_t seconds;
        if (!find_class(words[i], &class))
            return diag_set(diag, ERR_INVALID,
                            "Invalid client class specified in buffer limit configuration.");
        if (!num_parse_bytes(words[i + 1], &changed.hard[class]) ||
            !num_parse_bytes(words[i + 2], &changed.soft[class]) ||
            !num_parse_i64(words[i + 3], &seconds) || seconds < 0 || seconds > INT32_MAX)
            return diag_set(
                diag, ERR_INVALID,
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
        changed.soft_s[class] = (uint64_t)seconds;
    }
    *limits = changed;
    return 0;
}

void output_limits_format(const struct output_limits *limits, struct buf *to)
{
    for (size_t i = 0; i < CLIENT_CLASSES; i++)
        buf_append_format(to, "%s%s %llu %llu %llu", i > 0 ? " " : "", class_names[i],
                          (unsigned long long)limits->hard[i], (unsigned long long)limits->soft[i],
                          (unsigned long long)limits->soft_s[i]);
}
