/* SPDX-License-Identifier: Apache-2.0 */
#include "command/syntax.h"

#include "base/buf.h"
#include "support/cmocka.h"

static void put(const struct syntax *syntax, int first, struct buf *to);

/* TOKEN:name, (a b) a block, (a|b) a choice; behind it ? optional, * multiple, + with its token. */
static void put_arg(const struct syntax *syntax, const struct syntax_arg *arg, struct buf *to)
{
    buf_append_slice(to, arg->token);
    if (arg->token.len > 0 && arg->kind != SYNTAX_TOKEN)
        buf_append_byte(to, ':');
    buf_append_slice(to, arg->name);
    if (arg->kind == SYNTAX_CHOICE)
        buf_append_str(to, "one of ");
    if (arg->first_part >= 0) {
        buf_append_byte(to, '(');
        put(syntax, arg->first_part, to);
        buf_append_byte(to, ')');
    }
    buf_append_str(to, arg->is_optional ? "?" : "");
    buf_append_str(to, arg->is_multiple ? "*" : "");
    buf_append_str(to, arg->repeats_token ? "+" : "");
}

static void put(const struct syntax *syntax, int first, struct buf *to)
{
    for (int i = first; i >= 0; i = syntax->args[i].next) {
        if (i != first)
            buf_append_byte(to, ' ');
        put_arg(syntax, &syntax->args[i], to);
    }
}

static void check(const char *text, const char *want)
{
    struct syntax syntax;
    struct buf got = {0};
    syntax_read(text, &syntax);
    put(&syntax, syntax.first, &got);
    buf_append_byte(&got, '\0');
    assert_string_equal((const char *)got.data, want);
    buf_fini(&got);
}

static void trees(void **state)
{
    (void)state;
    check("", "");
    check("key", "key");
    check("key start end", "key start end");
    check("[count]", "count?");
    check("key [start end]", "key (start end)?");
    check("key bit [start [end [BYTE | BIT]]]", "key bit (start (end one of (BYTE BIT)?)?)?");
    check("[ASYNC | SYNC]", "one of (ASYNC SYNC)?");
    check("<AND | OR> destkey", "one of (AND OR) destkey");
    check("a [DB b] [REPLACE]", "a DB:b? REPLACE?");
    check("[AUTH username password]", "AUTH:(username password)?");
    check("[EX seconds | KEEPTTL]", "one of (EX:seconds KEEPTTL)?");
    check("[TYPE <NORMAL | MASTER>]", "TYPE:one of (NORMAL MASTER)?");
}

static void repetitions(void **state)
{
    (void)state;
    check("key [key ...]", "key*");
    check("d key [key ...]", "d key*");
    check("[channel [channel ...]]", "channel?*");
    check("key value [key value ...]", "(key value)*");
    check("[ID client-id [client-id ...]]", "ID:client-id?*");
    check("key [GET encoding offset [GET encoding offset ...]]", "key GET:(encoding offset)?*+");
    check("key [<GET a | [OVERFLOW <WRAP | SAT>] <SET a b | INCRBY a c>> ...]",
          "key one of (GET:a (OVERFLOW:one of (WRAP SAT)? one of (SET:(a b) INCRBY:(a c))))?*");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees),
        cmocka_unit_test(repetitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
