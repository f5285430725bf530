/* SPDX-License-Identifier: Apache-2.0 */
/* reply: builds RESP2 or RESP3 replies in a growing buffer.
 *
 * One set of calls for both protocols: what RESP2 lacks is written in the form that Redis uses for
 * it (maps and sets as arrays, null as $-1, doubles, big numbers and verbatim text as bulk strings,
 * booleans as 1 and 0). Aggregates announce their count first; the caller then writes that many.
 *
 * Threads:  none of its own. Errors: none; memory out ends the process (replies are bounded by what
 *           the store holds; see reply_reserve for sizes that are not).
 * See resp/README.md, invariants W8-W9.
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

/* Room for about `size` bytes of replies to come: before a size that a client chose. Returns 0 or
 * -ENOMEM. */
MUST_CHECK
int reply_reserve(struct reply *reply, size_t size);

/* "+text". No CR or LF inside. */
void reply_status(struct reply *reply, const char *text);
void reply_ok(struct reply *reply);

/* "-text": the caller writes the prefix ("ERR ...", "WRONGTYPE ..."). CR and LF become blanks,
 * and go at the end of what reply_errorf() writes. */
void reply_error(struct reply *reply, const char *text);
void reply_errorf(struct reply *reply, const char *format, ...) PRINTF_LIKE(2, 3);

/* The same for bytes that may hold NUL, which goes out as it is. */
void reply_error_slice(struct reply *reply, struct slice text);

void reply_int(struct reply *reply, int64_t v);
void reply_bulk(struct reply *reply, struct slice bytes);
void reply_bulk_str(struct reply *reply, const char *text);
void reply_bulk_int(struct reply *reply, int64_t v);

/* Only the head of a bulk string, "$len"; the caller appends the bytes, wherever they come from,
 * and ends with reply_bulk_end(). */
void reply_bulk_begin(struct reply *reply, size_t len);
void reply_bulk_end(struct reply *reply);

/* Null: "$-1" / "_". Null array: "*-1" / "_". */
void reply_null(struct reply *reply);
void reply_null_array(struct reply *reply);

/* "inf", "-inf" and "nan" for what has no digits. */
void reply_double(struct reply *reply, double v);
void reply_bool(struct reply *reply, bool v);
/* `digits` is an optional '-' and decimal digits. */
void reply_big_number(struct reply *reply, struct slice digits);

/* `ext` is three letters, "txt" or "mkd". */
void reply_verbatim(struct reply *reply, const char *ext, struct slice text);

void reply_array(struct reply *reply, size_t count);
void reply_map(struct reply *reply, size_t pairs);
void reply_set(struct reply *reply, size_t count);

/* Out-of-band in RESP3, an array in RESP2. */
void reply_push(struct reply *reply, size_t count);

/* When the count is known only afterwards: returns a mark; one of the ends writes the header in
 * front of what has come since. O(bytes since). Nested ones end inner first; nothing may be taken
 * from the buffer in between. */
size_t reply_array_begin(struct reply *reply);
void reply_array_end(struct reply *reply, size_t mark, size_t count);
void reply_map_end(struct reply *reply, size_t mark, size_t pairs);
void reply_set_end(struct reply *reply, size_t mark, size_t count);

/* Length in bytes of the one whole reply value at the front of `bytes`, nested ones included;
 * 0 if it is not whole or not a reply. Attributes belong to the value they stand before; a push
 * is a value of its own. Bytes are hostile; O(bytes), no recursion. */
MUST_CHECK
size_t reply_skip(struct slice bytes);

#endif
