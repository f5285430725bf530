/* SPDX-License-Identifier: Apache-2.0 */
/* text: keys, values and numbers for people and for programs. */
#ifndef CHECK_TEXT_H
#define CHECK_TEXT_H

#include "base/buf.h"

/* In quotes, with \n \r \t \" \\ \xHH; cut behind `max` bytes, which is said. */
void text_put_quoted(struct buf *to, struct slice bytes, size_t max);

/* "12.3 MiB". */
void text_put_size(struct buf *to, uint64_t bytes);

/* ---- JSON: members of an object, each with the comma that it needs ---- */

void json_open(struct buf *to);
void json_close(struct buf *to);
void json_put_u64(struct buf *to, const char *name, uint64_t value);
void json_put_text(struct buf *to, const char *name, const char *value);
void json_put_bool(struct buf *to, const char *name, bool value);
/* Under `name` as a string if it is UTF-8, else in base64 under "<name>_base64". Of more than `max`
 * bytes the first ones, and their count under "<name>_size". */
void json_put_bytes(struct buf *to, const char *name, struct slice bytes, size_t max);
/* In a list: a string, or an object with what json_put_bytes() makes of the name "text". */
void json_put_item(struct buf *to, struct slice bytes, size_t max);
/* A member whose value the caller puts: "name": */
void json_put_name(struct buf *to, const char *name);

#endif
