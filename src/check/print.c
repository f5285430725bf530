/* SPDX-License-Identifier: Apache-2.0 */
#include "check/print.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/num.h"
#include "check/text.h"

static void put_name(struct printer *printer, const char *name)
{
    if (printer->is_json)
        json_put_name(&printer->line, name);
    else
        buf_append_format(&printer->line, " %s=", name);
}

void print_begin(struct printer *printer, const char *kind)
{
    printer->line.len = 0;
    if (!printer->is_json) {
        buf_append_str(&printer->line, kind);
        return;
    }
    json_open(&printer->line);
    json_put_text(&printer->line, "kind", kind);
    if (printer->file != NULL)
        json_put_text(&printer->line, "file", printer->file);
}

void print_u64(struct printer *printer, const char *name, uint64_t value)
{
    char digits[NUM_I64_SIZE];
    put_name(printer, name);
    buf_append(&printer->line, digits, num_format_u64(digits, value));
}

void print_number(struct printer *printer, const char *name, const char *text)
{
    put_name(printer, name);
    buf_append_str(&printer->line, text);
}

void print_word64(struct printer *printer, const char *name, uint64_t value)
{
    const char *quote = printer->is_json ? "\"" : "";
    put_name(printer, name);
    buf_append_format(&printer->line, "%s%016" PRIx64 "%s", quote, value, quote);
}

void print_text(struct printer *printer, const char *name, const char *value)
{
    if (printer->is_json) {
        json_put_text(&printer->line, name, value);
        return;
    }
    put_name(printer, name);
    if (strchr(value, ' ') == NULL)
        buf_append_str(&printer->line, value);
    else
        text_put_quoted(&printer->line, slice_str(value), SIZE_MAX);
}

void print_bool(struct printer *printer, const char *name, bool value)
{
    put_name(printer, name);
    buf_append_str(&printer->line, value ? "true" : "false");
}

static void put_bytes(struct printer *printer, const char *name, struct slice bytes, size_t max)
{
    if (printer->is_json) {
        json_put_bytes(&printer->line, name, bytes, max);
        return;
    }
    put_name(printer, name);
    text_put_quoted(&printer->line, bytes, max);
}

void print_key(struct printer *printer, const char *name, struct slice bytes)
{
    put_bytes(printer, name, bytes, SIZE_MAX);
}

void print_value(struct printer *printer, const char *name, struct slice bytes)
{
    put_bytes(printer, name, bytes, printer->max_bytes);
}

void print_list(struct printer *printer, const char *name)
{
    put_name(printer, name);
    buf_append_byte(&printer->line, '[');
    printer->item_count = 0;
}

void print_item(struct printer *printer, struct slice bytes)
{
    if (printer->item_count++ > 0)
        buf_append_byte(&printer->line, printer->is_json ? ',' : ' ');
    if (printer->is_json)
        json_put_item(&printer->line, bytes, printer->max_bytes);
    else
        text_put_quoted(&printer->line, bytes, printer->max_bytes);
}

void print_list_end(struct printer *printer)
{
    buf_append_byte(&printer->line, ']');
}

void print_end(struct printer *printer)
{
    if (printer->is_json)
        json_close(&printer->line);
    buf_append_byte(&printer->line, '\n');
    printer->io.write(printer->io.ctx, buf_slice(&printer->line));
    buf_reset(&printer->line, 64 * 1024);
}

void printer_fini(struct printer *printer)
{
    buf_fini(&printer->line);
}
