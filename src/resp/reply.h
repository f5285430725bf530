/* SPDX-License-Identifier: Apache-2.0 */
/* reply: builds RESP2 or RESP3 replies in a growing buffer.
 *
 * One set of calls for both protocols: what RESP2 lacks is written in the form that Redis uses for
 * it (maps and sets as arrays, null as $-1, doubles and verbatim text as bulk strings, booleans
 * as 0 and 1). Aggregates announce their count first; the caller then writes that many.
 *
 * Threads:  none of its own. Errors: none; memory out ends the process (replies are bounded by what
 *           the store holds; see reply_reserve for sizes that are not).
 */
#ifndef RESP_REPLY_H
#define RESP_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

struct reply {
    struct buf *out;
    uint8_t proto; /* 2 or 3 */
};

static inline struct reply reply_to(struct buf *out, uint8_t proto)
{
    return (struct reply){.out = out, .proto = proto};
}

/* "+text". No CR or LF inside. */
void reply_status(struct reply *reply, const char *text);
void reply_ok(struct reply *reply);

/* "-text": the caller writes the prefix ("ERR ...", "WRONGTYPE ..."). CR and LF become blanks. */
void reply_error(struct reply *reply, const char *text);
void reply_errorf(struct reply *reply, const char *format, ...) PRINTF_LIKE(2, 3);

void reply_int(struct reply *reply, int64_t v);
void reply_bulk(struct reply *reply, struct slice bytes);
void reply_bulk_str(struct reply *reply, const char *text);
void reply_bulk_int(struct reply *reply, int64_t v);

/* Null: "$-1" / "_". Null array: "*-1" / "_". */
void reply_null(struct reply *reply);
void reply_null_array(struct reply *reply);

void reply_double(struct reply *reply, double v);
void reply_bool(struct reply *reply, bool v);
void reply_big_number(struct reply *reply, struct slice digits);

/* `ext` is three letters, "txt" or "mkd". */
void reply_verbatim(struct reply *reply, const char *ext, struct slice text);

void reply_array(struct reply *reply, size_t count);
void reply_map(struct reply *reply, size_t pairs);
void reply_set(struct reply *reply, size_t count);

/* Out-of-band in RESP3, an array in RESP2. */
void reply_push(struct reply *reply, size_t count);

/* When the count is known only afterwards: returns a mark; reply_array_end writes the header in
 * front of what has come since. O(bytes since). */
size_t reply_array_begin(struct reply *reply);
void reply_array_end(struct reply *reply, size_t mark, size_t count);

/* Length in bytes of the one whole reply value at the front of `bytes`, nested ones included;
 * 0 if it is not whole or not a reply. */
size_t reply_skip(struct slice bytes);

#endif
