/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "check/print.h"
#include "check/text.h"
#include "support/cmocka.h"

static void expect(struct buf *text, const char *wanted)
{
    buf_append_byte(text, 0);
    assert_string_equal((const char *)text->data, wanted);
    buf_fini(text);
}

static void test_bytes_in_quotes(void **unused)
{
    (void)unused;
    struct buf text = {0};
    text_put_quoted(&text, SLICE_LIT("a\n\r\t\"\\\x01\xff z"), 100);
    expect(&text, "\"a\\n\\r\\t\\\"\\\\\\x01\\xff z\"");
    text_put_quoted(&text, SLICE_LIT("abcdef"), 4);
    expect(&text, "\"abcd\"... (6 bytes)");
    text_put_quoted(&text, SLICE_EMPTY, 4);
    expect(&text, "\"\"");
}

static void test_sizes(void **unused)
{
    (void)unused;
    struct buf text = {0};
    text_put_size(&text, 1023);
    expect(&text, "1023 bytes");
    text_put_size(&text, 1536);
    expect(&text, "1.5 KiB");
    text_put_size(&text, UINT64_C(3) << 40);
    expect(&text, "3.0 TiB");
}

static void expect_member(struct slice bytes, size_t max, const char *wanted)
{
    struct buf text = {0};
    json_open(&text);
    json_put_bytes(&text, "k", bytes, max);
    json_close(&text);
    expect(&text, wanted);
}

static void test_json_of_text_and_of_bytes(void **unused)
{
    (void)unused;
    expect_member(SLICE_LIT("plain \"q\" \\ \n\x7f"), 99,
                  "{\"k\":\"plain \\\"q\\\" \\\\ \\u000a\\u007f\"}");
    expect_member(SLICE_LIT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), 99,
                  "{\"k\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"}");
    expect_member(SLICE_LIT("\xff"), 99, "{\"k_base64\":\"/w==\"}");
    expect_member(SLICE_LIT("\xff\x00"), 99, "{\"k_base64\":\"/wA=\"}");
    expect_member(SLICE_LIT("\xff\x00\x10"), 99, "{\"k_base64\":\"/wAQ\"}");
    expect_member(SLICE_LIT("\xff\x00\x10\x83"), 99, "{\"k_base64\":\"/wAQgw==\"}");
    /* Overlong, a surrogate, beyond the last, cut off, a tail alone. */
    expect_member(SLICE_LIT("\xc0\x80"), 99, "{\"k_base64\":\"wIA=\"}");
    expect_member(SLICE_LIT("\xe0\x80\x80"), 99, "{\"k_base64\":\"4ICA\"}");
    expect_member(SLICE_LIT("\xed\xa0\x80"), 99, "{\"k_base64\":\"7aCA\"}");
    expect_member(SLICE_LIT("\xf4\x90\x80\x80"), 99, "{\"k_base64\":\"9JCAgA==\"}");
    expect_member(SLICE_LIT("\xf0\x9f\x98"), 99, "{\"k_base64\":\"8J+Y\"}");
    expect_member(SLICE_LIT("\x80"), 99, "{\"k_base64\":\"gA==\"}");
}

static void test_json_is_cut_between_characters(void **unused)
{
    (void)unused;
    expect_member(SLICE_LIT("abcdef"), 4, "{\"k\":\"abcd\",\"k_size\":6}");
    expect_member(SLICE_LIT("ab\xe2\x82\xac"), 4, "{\"k\":\"ab\",\"k_size\":5}");
    expect_member(SLICE_LIT("\xe2\x82\xac"), 2, "{\"k_base64\":\"4oI=\",\"k_size\":3}");
    expect_member(SLICE_LIT("\xff\xff\xff"), 1, "{\"k_base64\":\"/w==\",\"k_size\":3}");
}

static void on_write(void *ctx, struct slice text)
{
    buf_append_slice(ctx, text);
}

static void print_one(struct printer *printer)
{
    print_begin(printer, "thing");
    print_u64(printer, "n", 7);
    print_text(printer, "word", "two words");
    print_bool(printer, "is", true);
    print_word64(printer, "id", 255);
    print_key(printer, "key", SLICE_LIT("k\xff"));
    print_value(printer, "value", SLICE_LIT("0123456789"));
    print_list(printer, "args");
    print_item(printer, SLICE_LIT("a"));
    print_item(printer, SLICE_LIT("\xfe"));
    print_list_end(printer);
    print_end(printer);
}

static void test_one_thing_a_line(void **unused)
{
    (void)unused;
    struct buf out = {0};
    struct printer printer = {.io = {.write = on_write, .ctx = &out}, .max_bytes = 4};
    print_one(&printer);
    expect(&out,
           "thing n=7 word=\"two words\" is=true id=00000000000000ff key=\"k\\xff\" "
           "value=\"0123\"... (10 bytes) args=[\"a\" \"\\xfe\"]\n");
    printer.is_json = true;
    printer.file = "f";
    print_one(&printer);
    expect(&out,
           "{\"kind\":\"thing\",\"file\":\"f\",\"n\":7,\"word\":\"two words\",\"is\":true,"
           "\"id\":\"00000000000000ff\",\"key_base64\":\"a/8=\",\"value\":\"0123\","
           "\"value_size\":10,\"args\":[\"a\",{\"text_base64\":\"/g==\"}]}\n");
    printer_fini(&printer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_in_quotes),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_json_of_text_and_of_bytes),
        cmocka_unit_test(test_json_is_cut_between_characters),
        cmocka_unit_test(test_one_thing_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
