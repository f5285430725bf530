/* SPDX-License-Identifier: Apache-2.0 */
#include "check/text.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/num.h"

static void put_escaped(struct buf *to, uint8_t byte)
{
    static const char names[][2] = {
        {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}, {'"', '"'}, {'\\', '\\'}};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if ((uint8_t)names[i][0] == byte) {
            buf_append_byte(to, '\\');
            buf_append_byte(to, (uint8_t)names[i][1]);
            return;
        }
    }
    if (byte >= 0x20 && byte < 0x7f)
        buf_append_byte(to, byte);
    else
        buf_append_format(to, "\\x%02x", byte);
}

void text_put_quoted(struct buf *to, struct slice bytes, size_t max)
{
    struct slice shown = slice_sub(bytes, 0, max);
    buf_append_byte(to, '"');
    for (size_t i = 0; i < shown.len; i++)
        put_escaped(to, shown.data[i]);
    buf_append_byte(to, '"');
    if (shown.len < bytes.len)
        buf_append_format(to, "... (%zu bytes)", bytes.len);
}

void text_put_size(struct buf *to, uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    double value = (double)bytes;
    while (value >= 1024 && unit + 1 < ARRAY_COUNT(units)) {
        value /= 1024;
        unit++;
    }
    if (unit == 0)
        buf_append_format(to, "%" PRIu64 " %s", bytes, units[0]);
    else
        buf_append_format(to, "%.1f %s", value, units[unit]);
}

/* ---- JSON ---- */

void json_open(struct buf *to)
{
    buf_append_byte(to, '{');
}

void json_close(struct buf *to)
{
    buf_append_byte(to, '}');
}

void json_put_name(struct buf *to, const char *name)
{
    ASSERT(to->len > 0);
    if (to->data[to->len - 1] != '{')
        buf_append_byte(to, ',');
    buf_append_byte(to, '"');
    buf_append_str(to, name);
    buf_append_str(to, "\":");
}

void json_put_u64(struct buf *to, const char *name, uint64_t value)
{
    char digits[NUM_I64_SIZE];
    json_put_name(to, name);
    buf_append(to, digits, num_format_u64(digits, value));
}

void json_put_bool(struct buf *to, const char *name, bool value)
{
    json_put_name(to, name);
    buf_append_str(to, value ? "true" : "false");
}

/* How many bytes the character at the front takes; 0: it is no UTF-8. Neither overlong forms nor
 * surrogates nor what lies beyond Unicode are. */
static size_t utf8_size(struct slice text)
{
    uint8_t first = text.data[0];
    size_t size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (size == 0 || first > 0xf4 || size > text.len)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((text.data[i] & 0xc0) != 0x80)
            return 0;
    }
    uint8_t second = size > 1 ? text.data[1] : 0;
    bool is_bad = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                  (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
    return is_bad ? 0 : size;
}

static bool is_utf8(struct slice text)
{
    for (size_t at = 0; at < text.len;) {
        if (text.data[at] < 0x80) {
            at++;
            continue;
        }
        size_t size = utf8_size(slice_sub(text, at, SIZE_MAX));
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

static void put_json_string(struct buf *to, struct slice text)
{
    size_t plain = 0; /* what has no need of a word lies from here on */
    buf_append_byte(to, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f)
            continue;
        buf_append(to, text.data + plain, i - plain);
        plain = i + 1;
        if (byte == '"' || byte == '\\')
            buf_append_format(to, "\\%c", byte);
        else
            buf_append_format(to, "\\u%04x", byte);
    }
    buf_append_slice(to, slice_sub(text, plain, SIZE_MAX));
    buf_append_byte(to, '"');
}

static void put_base64(struct buf *to, struct slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    buf_append_byte(to, '"');
    for (size_t at = 0; at < bytes.len; at += 3) {
        size_t len = bytes.len - at < 3 ? bytes.len - at : 3;
        uint32_t word = (uint32_t)bytes.data[at] << 16;
        word |= len > 1 ? (uint32_t)bytes.data[at + 1] << 8 : 0;
        word |= len > 2 ? (uint32_t)bytes.data[at + 2] : 0;
        for (size_t i = 0; i < 4; i++)
            buf_append_byte(to, i <= len ? (uint8_t)digits[word >> (18 - 6 * i) & 63] : '=');
    }
    buf_append_byte(to, '"');
}

void json_put_text(struct buf *to, const char *name, const char *value)
{
    json_put_bytes(to, name, slice_str(value), SIZE_MAX);
}

/* Cut where a character ends, so that what was UTF-8 stays so. */
static struct slice front_of(struct slice bytes, size_t max)
{
    struct slice front = slice_sub(bytes, 0, max);
    for (size_t back = 0; front.len < bytes.len && back < 4 && back < front.len; back++) {
        struct slice shorter = slice_sub(front, 0, front.len - back);
        if ((bytes.data[shorter.len] & 0xc0) != 0x80)
            return shorter;
    }
    return front;
}

void json_put_bytes(struct buf *to, const char *name, struct slice bytes, size_t max)
{
    struct slice shown = front_of(bytes, max);
    bool is_text = is_utf8(shown);
    char member[64];
    int len = snprintf(member, sizeof(member), "%s%s", name, is_text ? "" : "_base64");
    ASSERT(len > 0 && (size_t)len < sizeof(member));
    json_put_name(to, member);
    if (is_text)
        put_json_string(to, shown);
    else
        put_base64(to, shown);
    if (shown.len == bytes.len)
        return;
    snprintf(member, sizeof(member), "%s_size", name);
    json_put_u64(to, member, bytes.len);
}

void json_put_item(struct buf *to, struct slice bytes, size_t max)
{
    struct slice shown = front_of(bytes, max);
    if (is_utf8(shown) && shown.len == bytes.len) {
        put_json_string(to, shown);
        return;
    }
    json_open(to);
    json_put_bytes(to, "text", bytes, max);
    json_close(to);
}
