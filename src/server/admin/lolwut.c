/* SPDX-License-Identifier: Apache-2.0 */
/* LOLWUT: iron rusts. A bar is a row of cells; rust begins somewhere along it, and each line below
 * follows from the one above by an elementary automaton, so no two bars are alike. */
#include "base/num.h"
#include "command/args.h"
#include "server/server_internal.h"

#define COLUMNS_DEFAULT 64
#define COLUMNS_MAX     1000
#define LINES_DEFAULT   16
#define LINES_MAX       1000
#define RULE            110
#define BARE            "\xe2\x96\x88"
#define RUSTED          "\xe2\x96\x92"

/* Each cell below becomes what the rule says of the three above it. */
static void rust_on(uint8_t *cells, size_t count)
{
    uint8_t before = cells[count - 1];
    uint8_t first = cells[0];
    for (size_t i = 0; i < count; i++) {
        uint8_t after = i + 1 < count ? cells[i + 1] : first;
        uint8_t here = cells[i];
        cells[i] = (uint8_t)(RULE >> (before << 2 | here << 1 | after) & 1);
        before = here;
    }
}

static void draw(struct buf *to, struct chance *chance, size_t columns, size_t lines)
{
    uint8_t cells[COLUMNS_MAX];
    for (size_t i = 0; i < columns; i++)
        cells[i] = chance_u64(chance) % 5 == 0;
    for (size_t line = 0; line < lines; line++) {
        for (size_t i = 0; i < columns; i++)
            buf_append_str(to, cells[i] != 0 ? RUSTED : BARE);
        buf_append_byte(to, '\n');
        rust_on(cells, columns);
    }
}

static int64_t within(int64_t v, int64_t max)
{
    return v < 1 ? 1 : v > max ? max : v;
}

/* [VERSION version] [columns [lines]], and anything else is somebody's joke. False after an error
 * reply. */
static bool parse_size(struct call *call, size_t *out_columns, size_t *out_lines)
{
    int64_t version;
    int64_t columns = COLUMNS_DEFAULT;
    int64_t lines = LINES_DEFAULT;
    bool has_version = call->argc > 2 && slice_is(call->argv[1], "version");
    if (has_version &&
        (!args_integer(call, 2, &version) || (call->argc > 3 && !args_integer(call, 3, &columns)) ||
         (call->argc > 4 && !args_integer(call, 4, &lines))))
        return false;
    *out_columns = (size_t)within(columns, COLUMNS_MAX);
    *out_lines = (size_t)within(lines, LINES_MAX);
    return true;
}

static int run_lolwut(struct call *call)
{
    struct server *server = session_server(call->session);
    size_t columns;
    size_t lines;
    if (!parse_size(call, &columns, &lines))
        return 0;
    struct buf text = {0};
    draw(&text, server->os.chance, columns, lines);
    buf_append_str(&text, "Iron, and what the air makes of it. Redis ver. " FERRIC_REDIS_VERSION
                          ", Ferric ver. " FERRIC_VERSION "\n");
    reply_verbatim(call->reply, "txt", buf_slice(&text));
    buf_fini(&text);
    return 0;
}

static const struct command_row rows[] = {
    {
        .name = "lolwut",
        .arity = {1, ARITY_ANY},
        .flags = CMD_READONLY | CMD_FAST,
        .scope = SCOPE_NODE,
        .categories = "read fast",
        .group = "server",
        .since = "5.0.0",
        .complexity = "O(N), N being the columns times the lines",
        .summary = "Shows a piece of art, and the version.",
        .syntax = "[VERSION version [columns [lines]]]",
        .run = run_lolwut,
    },
};

const struct command_family lolwut_family = {
    .name = "lolwut", .rows = rows, .row_count = ARRAY_COUNT(rows)};
