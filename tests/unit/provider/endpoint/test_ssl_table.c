/* SPDX-License-Identifier: Apache-2.0 */
/* The table of SSLs: more of them than rows, at addresses that come again, in several threads. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "endpoint/ssl_table.h"

#define MANY 100000
#define THREADS 4
#define TURNS 200
#define OWN 500 /* SSLs of a thread at the same time */

/* Return an address as of malloc. The table does not look at what is there. */
static const void *address(size_t i)
{
    return (const void *)(uintptr_t)(0x10000 + i * 0x1a70);
}

static endpoint *endpoint_of(size_t i)
{
    return (endpoint *)(uintptr_t)(i + 1);
}

static void add(size_t i)
{
    endpoint **place = ssl_table_add(address(i), true);

    assert_non_null(place);
    assert_null(*place);
    *place = endpoint_of(i);
}

static void assert_there(size_t i)
{
    endpoint **place = ssl_table_find(address(i));

    assert_ptr_equal(place == NULL ? NULL : *place, endpoint_of(i));
}

static void remove_one(size_t i)
{
    ssl_table_remove(ssl_table_find(address(i)));
    assert_null(ssl_table_find(address(i)));
}

static void test_many(void **state)
{
    size_t i;

    assert_null(ssl_table_find(address(0)));
    for (i = 0; i < MANY; i++)
        add(i);
    for (i = 0; i < MANY; i++)
        assert_there(i);
    for (i = 0; i < MANY; i += 2)
        remove_one(i);
    for (i = 1; i < MANY; i += 2)
        assert_there(i);
    for (i = 0; i < MANY; i += 2)
        add(i);
    for (i = 0; i < MANY; i++)
        assert_there(i);
    for (i = 0; i < MANY; i++)
        remove_one(i);
}

/* A removed SSL leaves its entry to the next one of its row. A process does not grow by its connections. */
static void test_entries_come_again(void **state)
{
    endpoint **first = ssl_table_add(address(0), true), **again;
    size_t i;

    ssl_table_remove(first);
    for (i = 0; i < MANY; i++) {
        again = ssl_table_add(address(0), true);
        assert_ptr_equal(again, first);
        ssl_table_remove(again);
    }
}

/* Whether the end of an SSL is told is its own. The one before had the entry, too. */
static void test_whose_end_is_told(void **state)
{
    endpoint **place;
    size_t i;

    for (i = 0; i < 6; i++) {
        place = ssl_table_add(address(0), i % 2 == 0);
        assert_int_equal(ssl_table_is_told(place), i % 2 == 0);
        ssl_table_remove(place);
    }
}

/* Return the number of failures: cmocka's own assertions are for the main thread. */
static void *come_and_go(void *arg)
{
    size_t first = (size_t)(uintptr_t)arg, turn, i;
    uintptr_t wrong = 0;
    endpoint **place;

    for (turn = 0; turn < TURNS && wrong == 0; turn++) {
        for (i = first; i < OWN * THREADS; i += THREADS) {
            place = ssl_table_add(address(i), true);
            wrong += place == NULL || *place != NULL;
            if (place != NULL)
                *place = endpoint_of(i);
        }
        for (i = first; i < OWN * THREADS; i += THREADS) {
            place = ssl_table_find(address(i));
            wrong += place == NULL || *place != endpoint_of(i);
            if (place != NULL)
                ssl_table_remove(place);
        }
    }
    return (void *)wrong;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS];
    void *wrong;
    size_t i;

    for (i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, (void *)(uintptr_t)i), 0);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    for (i = 0; i < OWN * THREADS; i++)
        assert_null(ssl_table_find(address(i)));
}

/* ---- one row ---- */

#define MEETINGS 4000000 /* some seconds with a thread sanitizer */

static pthread_barrier_t all_there;

/* Let one SSL of the row come and go, until the entry was another thread's, too. */
static void *meet(void *arg)
{
    const void *ssl = arg;
    endpoint *own = (endpoint *)arg, **place;
    uintptr_t wrong = 0;
    size_t turn;

    pthread_barrier_wait(&all_there);
    for (turn = 0; turn < MEETINGS && wrong == 0; turn++) {
        place = ssl_table_add(ssl, true);
        if (place == NULL || *place != NULL)
            return (void *)1;
        *place = own;
        wrong += ssl_table_find(ssl) != place || *place != own;
        ssl_table_remove(place);
        wrong += ssl_table_find(ssl) != NULL;
    }
    return (void *)wrong;
}

/* The threads take the same free entry, again and again. */
static void test_threads_in_one_row(void **state)
{
    endpoint **first = ssl_table_add(address(0), true);
    const void *ssls[THREADS];
    pthread_t threads[THREADS];
    size_t i, found = 0;
    void *wrong;

    ssl_table_remove(first);
    for (i = 0; found < THREADS && i < MANY; i++) {
        endpoint **place = ssl_table_add(address(i), true);

        ssl_table_remove(place);
        if (place == first)
            ssls[found++] = address(i);
    }
    assert_int_equal(found, THREADS);
    assert_int_equal(pthread_barrier_init(&all_there, NULL, THREADS), 0);
    for (i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, meet, (void *)ssls[i]), 0);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    pthread_barrier_destroy(&all_there);
}

/* ---- new entries in the same rows ---- */

#define ADDRESSES 200000
#define ROWS 1000

typedef struct row_of_one {
    endpoint **entry; /* each row has one free entry, by which it is known */
    const void *ssl;
} row_of_one;

static row_of_one all[ADDRESSES];
static size_t firsts[ROWS], rows; /* the first of THREADS addresses in a row */

static int compare(const void *a, const void *b)
{
    uintptr_t one = (uintptr_t)((const row_of_one *)a)->entry,
              other = (uintptr_t)((const row_of_one *)b)->entry;

    return (one > other) - (one < other);
}

static void find_rows(void)
{
    size_t i;

    for (i = 0; i < ADDRESSES; i++) {
        all[i] = (row_of_one){ssl_table_add(address(i), true), address(i)};
        ssl_table_remove(all[i].entry);
    }
    qsort(all, ADDRESSES, sizeof(all[0]), compare);
    for (i = 0; i + THREADS <= ADDRESSES && rows < ROWS; i++) {
        if (all[i].entry == all[i + THREADS - 1].entry
            && (rows == 0 || all[firsts[rows - 1]].entry != all[i].entry))
            firsts[rows++] = i;
    }
    assert_int_equal(rows, ROWS);
}

static atomic_size_t arrived;

static void *add_to_each_row(void *arg)
{
    size_t i;

    for (i = 0; i < rows; i++) {
        atomic_fetch_add(&arrived, 1);
        while (atomic_load(&arrived) < (i + 1) * THREADS)
            sched_yield();
        ssl_table_add(all[firsts[i] + (uintptr_t)arg].ssl, true);
    }
    return NULL;
}

/* All threads add an SSL to the same row, and then to the next one. None is lost. */
static void test_threads_that_add(void **state)
{
    pthread_t threads[THREADS];
    size_t i, k;

    find_rows();
    for (i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_to_each_row, (void *)i), 0);
    for (i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (i = 0; i < rows; i++) {
        for (k = 0; k < THREADS; k++) {
            endpoint **place = ssl_table_find(all[firsts[i] + k].ssl);

            assert_non_null(place);
            ssl_table_remove(place);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_that_add), /* first: a row has one entry at most */
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_entries_come_again),
        cmocka_unit_test(test_whose_end_is_told),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_threads_in_one_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
