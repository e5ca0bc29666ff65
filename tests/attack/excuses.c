/* SPDX-License-Identifier: Apache-2.0 */
#include "excuses.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#define EXCEPTIONS_MAX 32

static struct {
    const exception *what;
    long met, needed;
} excuses[EXCEPTIONS_MAX];

static bool is_way_in(const exception *what)
{
    const exception *one = oracle_ways_in;

    while (one->name != NULL && one != what)
        one++;
    return one->name != NULL;
}

void excuses_count(const exception *what, bool any, bool all)
{
    size_t i = 0;

    while (excuses[i].what != NULL && excuses[i].what != what)
        i++;
    excuses[i].what = what;
    excuses[i].met++;
    excuses[i].needed += is_way_in(what) ? any : !all;
}

bool excuses_was_needed(const exception *what)
{
    size_t i = 0;

    if (strstr(what->name, "OpenSSL 4") != NULL && OpenSSL_version_num() < 0x40000000UL)
        return true;
    while (excuses[i].what != NULL && excuses[i].what != what)
        i++;
    return excuses[i].needed > 0;
}

int excuses_tell(bool is_whole)
{
    const exception *const lists[] = {oracle_ways_in, oracle_refusals}, *one;
    int unneeded = 0;
    size_t i;

    for (i = 0; excuses[i].what != NULL; i++)
        printf("%s: %ld rows, of which %ld needed it (%s)\n", excuses[i].what->name, excuses[i].met,
               excuses[i].needed, excuses[i].what->page);
    for (i = 0; is_whole && i < 2; i++) {
        for (one = lists[i]; one->name != NULL; one++) {
            if (excuses_was_needed(one))
                continue;
            printf("no row needs this exception: %s\n", one->name);
            unneeded++;
        }
    }
    return unneeded;
}
