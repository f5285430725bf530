/* SPDX-License-Identifier: Apache-2.0 */
#include "command/args.h"

#include "base/num.h"

#define SHOWN_ARGS_SIZE 128

bool args_integer(struct call *call, uint32_t nth, int64_t *out)
{
    if (num_parse_i64(call->argv[nth], out))
        return true;
    reply_error(call->reply, TEXT_NOT_INTEGER);
    return false;
}

bool args_int32(struct call *call, uint32_t nth, int64_t *out)
{
    if (!args_integer(call, nth, out))
        return false;
    if (*out >= INT32_MIN && *out <= INT32_MAX)
        return true;
    reply_errorf(call->reply, "ERR value is out of range, value must between %d and %d", INT32_MIN,
                 INT32_MAX);
    return false;
}

static void reply_bad_expire(struct call *call)
{
    reply_errorf(call->reply, "ERR invalid expire time in '%s' command", call->row->name);
}

bool args_expire_at(struct call *call, uint32_t nth, enum expire_unit unit, bool is_relative,
                    bool must_be_positive, int64_t *out_ms)
{
    int64_t value;
    if (!args_integer(call, nth, &value))
        return false;
    if ((must_be_positive && value <= 0) ||
        (unit == UNIT_SECONDS && __builtin_mul_overflow(value, 1000, &value)) ||
        (is_relative && !num_add_i64(value, (int64_t)tx_time_ms(call->tx), &value))) {
        reply_bad_expire(call);
        return false;
    }
    *out_ms = value;
    return true;
}

int args_get_string(struct call *call, struct slice key, struct item *out_item)
{
    int rc = tx_get(call->tx, call->db, key, out_item);
    if (rc != 0)
        return rc;
    if (out_item->type != VALUE_NONE && out_item->type != VALUE_STRING) {
        reply_error(call->reply, TEXT_WRONGTYPE);
        return ARGS_REPLIED;
    }
    return 0;
}

int args_load_string(struct call *call, struct slice key, struct item *out_item,
                     struct slice *out_value)
{
    *out_value = SLICE_EMPTY;
    int rc = args_get_string(call, key, out_item);
    if (rc != 0 || out_item->type == VALUE_NONE)
        return rc;
    return tx_load(call->tx, out_item, out_value);
}

void args_copy_string(struct slice text, size_t size, struct buf *out)
{
    /* A committed command cannot be refused: memory out ends the process (R13). */
    buf_reserve(out, text.len > size ? text.len : size);
    buf_append_slice(out, text);
    if (size > text.len)
        memset(buf_extend(out, size - text.len), 0, size - text.len);
}

bool args_string_fits(struct call *call, uint64_t size, uint64_t more)
{
    /* Offsets are below 2^63 and sizes far below: the sum cannot wrap. */
    if (size + more <= STRING_MAX_SIZE)
        return true;
    reply_error(call->reply, TEXT_STRING_SIZE);
    return false;
}

void args_notify(struct call *call, unsigned class, const char *name, struct slice key)
{
    tx_notify(call->tx, class, name, call->db, key);
}

void args_put_string(struct call *call, struct slice key, struct slice value, uint64_t expire_at_ms)
{
    args_put_formed(call, key, value, VALUE_PLAIN, expire_at_ms);
}

void args_put_formed(struct call *call, struct slice key, struct slice value, enum value_form form,
                     uint64_t expire_at_ms)
{
    tx_put(call->tx, call->db, key,
           &(struct tx_value){
               .type = VALUE_STRING, .form = form, .bytes = value, .expire_at_ms = expire_at_ms});
}

void args_reply_unknown(struct reply *reply, const struct slice *argv, uint32_t argc)
{
    struct buf shown = {0};
    for (uint32_t i = 1; i < argc && shown.len < SHOWN_ARGS_SIZE; i++) {
        struct slice arg = slice_sub(argv[i], 0, SHOWN_ARGS_SIZE - shown.len);
        buf_append_format(&shown, "'%.*s' ", SLICE_FMT(arg));
    }
    struct slice name = slice_sub(argv[0], 0, SHOWN_ARGS_SIZE);
    reply_errorf(reply, "ERR unknown command '%.*s', with args beginning with: %.*s",
                 SLICE_FMT(name), SLICE_FMT(buf_slice(&shown)));
    buf_fini(&shown);
}

/* Redis has no rows for the subcommands of DEBUG and tells only that none fits. */
static bool is_debug(const char *container)
{
    return container != NULL && strcmp(container, "debug") == 0;
}

#define UPPER_SIZE 32

static void put_upper(char to[UPPER_SIZE], const char *name)
{
    size_t len = 0;
    for (; name[len] != '\0' && len < UPPER_SIZE - 1; len++)
        to[len] = (char)(name[len] >= 'a' && name[len] <= 'z' ? name[len] - 'a' + 'A' : name[len]);
    to[len] = '\0';
}

static void reply_sub_usage(struct reply *reply, const char *container, struct slice name)
{
    char upper[UPPER_SIZE];
    put_upper(upper, container);
    reply_errorf(reply,
                 "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
                 SLICE_FMT(slice_sub(name, 0, SHOWN_ARGS_SIZE)), upper);
}

void args_reply_unknown_sub(struct reply *reply, const struct command_row *parent,
                            struct slice name)
{
    if (is_debug(parent->name)) {
        reply_sub_usage(reply, parent->name, name);
        return;
    }
    char upper[UPPER_SIZE];
    put_upper(upper, parent->name);
    struct slice shown = slice_sub(name, 0, SHOWN_ARGS_SIZE);
    reply_errorf(reply, "ERR unknown subcommand '%.*s'. Try %s HELP.", SLICE_FMT(shown), upper);
}

void args_reply_sub_usage(struct call *call)
{
    reply_sub_usage(call->reply, call->row->parent, call->argv[1]);
}

void args_reply_arity(struct reply *reply, const struct command_row *row)
{
    if (is_debug(row->parent)) {
        reply_sub_usage(reply, row->parent, slice_str(row->name));
        return;
    }
    reply_errorf(reply, "ERR wrong number of arguments for '%s%s%s' command",
                 row->parent == NULL ? "" : row->parent, row->parent == NULL ? "" : "|", row->name);
}
