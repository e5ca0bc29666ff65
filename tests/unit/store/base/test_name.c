/* SPDX-License-Identifier: Apache-2.0 */
/* Names from outside, as they are read and shown. Host names are tested with those of Consul's DNS. */
#include "unit.h"

#include "base/name.h"

static void check_is(const char *name, const char *error)
{
    consul_error err = {0};
    int ok = consul_name_check("the name", name, CONSUL_R_URI_INVALID, &err);

    assert_int_equal(ok, error == NULL);
    if (error != NULL)
        assert_error(&err, CONSUL_R_URI_INVALID, error);
}

static void test_names(void **state)
{
    char name[CONSUL_NAME_MAX + 2];

    check_is("web", NULL);
    check_is("\"\xff [a/b]\\", NULL); /* Consul has names of any character */
    check_is("...", NULL);
    check_is("", "the name is empty");
    check_is(".", "the name may not be \".\"");
    check_is("..", "the name may not be \"..\"");
    check_is("a\x1f", "the name has a control character in it");
    check_is("\x7f", "the name has a control character in it");
    memset(name, 'a', sizeof(name));
    name[CONSUL_NAME_MAX + 1] = '\0';
    check_is(name, "the name is longer than 255 bytes");
    name[CONSUL_NAME_MAX] = '\0';
    check_is(name, NULL);
}

/* No byte from outside ends the quotes around it, begins another part of a line, or is no character. */
static void test_what_is_shown(void **state)
{
    char shown[8], all[257];
    unsigned char bytes[256];
    int i;

    for (i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    assert_ptr_equal(consul_name_show(bytes, sizeof(bytes), all, sizeof(all)), all);
    assert_int_equal(strlen(all), 256);
    for (i = 0; i < 256; i++) {
        bool is_plain = i >= ' ' && i <= '~' && i != '"' && i != '[' && i != ']' && i != '\\';

        assert_int_equal(all[i], is_plain ? i : '?');
    }
    memset(shown, 'x', sizeof(shown));
    assert_string_equal(consul_name_show("abcdefghij", 10, shown, sizeof(shown) - 1), "abcdef");
    assert_int_equal(shown[7], 'x');
    assert_string_equal(consul_name_show("abc", 2, shown, sizeof(shown)), "ab");
    assert_string_equal(consul_name_show("abc", 0, shown, sizeof(shown)), "");
}

static void test_words(void **state)
{
    static const unsigned char data[] = "a\0CoNsuL", other[] = "\x03onsul";

    assert_ptr_equal(consul_find_word(data, 8, "consul"), data + 2);
    assert_null(consul_find_word(data, 7, "consul"));
    assert_null(consul_find_word(data, 0, "consul"));
    assert_null(consul_find_word(data, 8, "consuls"));
    assert_null(consul_find_word(other, 6, "consul"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_what_is_shown),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
