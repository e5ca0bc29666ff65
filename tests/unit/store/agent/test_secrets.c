/* SPDX-License-Identifier: Apache-2.0 */
/* A program that has started libcurl with memory functions of its own. The module overwrites its secrets all the same. */
#include "unit.h"

#include <malloc.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "agent_fixture.h"

#define SECRET "b6e8-secret-token"
#define HEADER "X-Consul-Token: " SECRET

static int left_behind; /* headers in freed memory */

/* Look for a header by itself. libcurl has it in its own text of the request, too. */
static void look_and_free(void *block)
{
    if (block != NULL && malloc_usable_size(block) >= sizeof(HEADER)
        && memcmp(block, HEADER, sizeof(HEADER)) == 0)
        left_behind++;
    free(block);
}

static void test_a_token(void **state)
{
    agent_fixture *f = *state;
    consul_error err = {0};

    f->settings.token = (char[]){SECRET};
    assert_int_equal(agent_ask_plainly(f, &err), 1);
    assert_contains(f->seen.head, SECRET);
    assert_int_equal(left_behind, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_token, agent_set_up, agent_tear_down),
    };

    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, look_and_free, realloc, strdup, calloc)
        != CURLE_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
