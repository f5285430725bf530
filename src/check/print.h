/* SPDX-License-Identifier: Apache-2.0 */
/* print: one thing a line, as words for people or as an object of JSON for programs.
 *
 *   record off=4096 op=put key="k" value="v"
 *   {"kind":"record","file":"data/shard_0/00001.log","off":4096,"op":"put","key":"k","value":"v"}
 */
#ifndef CHECK_PRINT_H
#define CHECK_PRINT_H

#include "base/buf.h"
#include "check/check.h"

struct printer {
    struct check_io io;
    bool is_json;
    size_t max_bytes;  /* of a value that is shown */
    const char *file;  /* stands in each JSON line; NULL: none */
    size_t item_count; /* of the open list */
    struct buf line;
};

void print_begin(struct printer *printer, const char *kind);
void print_u64(struct printer *printer, const char *name, uint64_t value);
/* `text` is a number already. */
void print_number(struct printer *printer, const char *name, const char *text);
/* As 16 hexadecimal digits: too large for the numbers of some readers of JSON. */
void print_word64(struct printer *printer, const char *name, uint64_t value);
void print_text(struct printer *printer, const char *name, const char *value);
void print_bool(struct printer *printer, const char *name, bool value);
/* Whole, and cut at max_bytes. */
void print_key(struct printer *printer, const char *name, struct slice bytes);
void print_value(struct printer *printer, const char *name, struct slice bytes);
void print_list(struct printer *printer, const char *name);
void print_item(struct printer *printer, struct slice bytes);
void print_list_end(struct printer *printer);
/* Writes the line. */
void print_end(struct printer *printer);
void printer_fini(struct printer *printer);

#endif
