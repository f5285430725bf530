/* SPDX-License-Identifier: Apache-2.0 */
#include "command/syntax.h"

#include <ctype.h>
#include <string.h>

#include "base/assert.h"

#define MAX_LEVEL 12 /* arguments of one level */

struct reader {
    struct syntax *syntax;
    const char *text;
    const char *at;
};

/* The arguments of one level, in their order. */
struct level {
    int args[MAX_LEVEL];
    int count;
};

static int read_choice(struct reader *reader);

static int new_arg(struct reader *reader, enum syntax_kind kind)
{
    ASSERT(reader->syntax->count < SYNTAX_MAX_ARGS);
    int idx = reader->syntax->count++;
    reader->syntax->args[idx] = (struct syntax_arg){.kind = kind, .first_part = -1, .next = -1};
    return idx;
}

static struct syntax_arg *arg_at(const struct reader *reader, int idx)
{
    return &reader->syntax->args[idx];
}

static void push(struct level *level, int idx)
{
    ASSERT(level->count < MAX_LEVEL);
    level->args[level->count++] = idx;
}

static int parts_of(const struct reader *reader, int idx)
{
    int count = 0;
    for (; idx >= 0; idx = arg_at(reader, idx)->next)
        count++;
    return count;
}

/* Links what the level holds from `from` on. The first, -1: nothing. */
static int link_args(const struct reader *reader, const struct level *level, int from)
{
    for (int i = from; i + 1 < level->count; i++)
        arg_at(reader, level->args[i])->next = level->args[i + 1];
    return from < level->count ? level->args[from] : -1;
}

/* Several arguments as one. */
static int as_one(struct reader *reader, int first)
{
    if (parts_of(reader, first) == 1)
        return first;
    int block = new_arg(reader, SYNTAX_BLOCK);
    arg_at(reader, block)->first_part = first;
    return block;
}

static void skip_blanks(struct reader *reader)
{
    while (*reader->at == ' ')
        reader->at++;
}

static void expect(struct reader *reader, char c)
{
    skip_blanks(reader);
    ASSERT(*reader->at == c);
    reader->at++;
}

static struct slice read_word(struct reader *reader)
{
    const char *begin = reader->at;
    reader->at += strcspn(begin, " []<>|");
    return slice_of(begin, (size_t)(reader->at - begin));
}

/* "encoding offset", up to what is no value. */
static int read_values(struct reader *reader)
{
    struct level level = {.count = 0};
    while (islower((unsigned char)*reader->at)) {
        int idx = new_arg(reader, SYNTAX_VALUE);
        arg_at(reader, idx)->name = read_word(reader);
        push(&level, idx);
        skip_blanks(reader);
    }
    return as_one(reader, link_args(reader, &level, 0));
}

static int read_group(struct reader *reader)
{
    expect(reader, '<');
    int idx = as_one(reader, read_choice(reader));
    expect(reader, '>');
    return idx;
}

static int read_token(struct reader *reader)
{
    struct slice token = read_word(reader);
    skip_blanks(reader);
    int idx;
    if (*reader->at == '<')
        idx = read_group(reader);
    else if (islower((unsigned char)*reader->at))
        idx = read_values(reader);
    else
        idx = new_arg(reader, SYNTAX_TOKEN);
    arg_at(reader, idx)->token = token;
    return idx;
}

/* Do the brackets from `begin` on repeat what stands before them? "...key [key ...]" */
static bool repeats(const struct reader *reader, const char *begin)
{
    const char *inner = begin + 1;
    const char *dots = strstr(inner, " ...");
    const char *end = reader->at - 1;
    if (dots == NULL || dots + 4 != end)
        return false;
    size_t len = (size_t)(dots - inner);
    const char *before = begin;
    while (before > reader->text && before[-1] == ' ')
        before--;
    return (size_t)(before - reader->text) >= len && memcmp(before - len, inner, len) == 0;
}

/* The last `count` of the level may come again. */
static void repeat(struct reader *reader, struct level *level, int count, bool with_token)
{
    ASSERT(count > 0 && count <= level->count);
    int from = level->count - count;
    int idx = as_one(reader, link_args(reader, level, from));
    level->count = from;
    push(level, idx);
    arg_at(reader, idx)->is_multiple = true;
    arg_at(reader, idx)->repeats_token = with_token;
}

static void read_brackets(struct reader *reader, struct level *level)
{
    const char *begin = reader->at;
    int count_before = reader->syntax->count;
    expect(reader, '[');
    int first = read_choice(reader);
    expect(reader, ']');
    if (repeats(reader, begin)) {
        int count = parts_of(reader, first);
        reader->syntax->count = count_before; /* they are there already */
        repeat(reader, level, count, isupper((unsigned char)begin[1]) != 0);
        return;
    }
    int idx = as_one(reader, first);
    arg_at(reader, idx)->is_optional = true;
    push(level, idx);
}

static int read_sequence(struct reader *reader)
{
    struct level level = {.count = 0};
    for (;;) {
        skip_blanks(reader);
        char c = *reader->at;
        if (c == '\0' || c == ']' || c == '>' || c == '|')
            return link_args(reader, &level, 0);
        if (c == '[') {
            read_brackets(reader, &level);
        } else if (c == '<') {
            push(&level, read_group(reader));
        } else if (strncmp(reader->at, "...", 3) == 0) {
            reader->at += 3;
            ASSERT(level.count > 0);
            arg_at(reader, level.args[level.count - 1])->is_multiple = true;
        } else if (isupper((unsigned char)c)) {
            push(&level, read_token(reader));
        } else {
            int idx = new_arg(reader, SYNTAX_VALUE);
            arg_at(reader, idx)->name = read_word(reader);
            ASSERT(arg_at(reader, idx)->name.len > 0);
            push(&level, idx);
        }
    }
}

/* Depth is that of the brackets in a row's text. */
static int read_choice(struct reader *reader)
{
    struct level level = {.count = 0};
    int first = read_sequence(reader);
    skip_blanks(reader);
    if (*reader->at != '|')
        return first;
    push(&level, as_one(reader, first));
    while (*reader->at == '|') {
        reader->at++;
        push(&level, as_one(reader, read_sequence(reader)));
        skip_blanks(reader);
    }
    int idx = new_arg(reader, SYNTAX_CHOICE);
    arg_at(reader, idx)->first_part = link_args(reader, &level, 0);
    return idx;
}

void syntax_read(const char *text, struct syntax *out)
{
    struct reader reader = {.syntax = out, .text = text, .at = text};
    out->count = 0;
    out->first = read_choice(&reader);
    ASSERT(*reader.at == '\0');
}
