/* SPDX-License-Identifier: Apache-2.0 */
/* The board, as another process reads it: by the memory of that name in /proc/self/maps. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/decode.h"
#include "report/board.h"

#define THREADS 4
#define CHILDREN 4
#define ROUNDS 2000 /* of each thread */

static consul_leaf *leaves[2]; /* of one service */
static char range[64];         /* of the board's addresses, as in /proc/self/map_files */

/* Read a leaf of the corpus. */
static consul_leaf *read_leaf(const char *name)
{
    char path[1024], body[65536];
    consul_error err = {0};
    consul_leaf *leaf;
    FILE *file;
    size_t len;

    snprintf(path, sizeof(path), "%s/valid/%s/input.json", getenv("CONSUL_TEST_CORPUS"), name);
    file = fopen(path, "r");
    assert_non_null(file);
    len = fread(body, 1, sizeof(body) - 1, file);
    fclose(file);
    body[len] = '\0';
    leaf = consul_leaf_decode(body, len, NULL, &err);
    if (leaf == NULL)
        fail_msg("%s: %s", name, err.text);
    return leaf;
}

/* Return the board in this process's memory; NULL where none is mapped. */
static prov_board *find_board(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    unsigned long start = 0, end = 0;
    char line[4096];
    prov_board *board = NULL;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strstr(line, " /memfd:" PROV_BOARD_NAME " (deleted)") == NULL)
            continue;
        assert_null(board);
        assert_int_equal(sscanf(line, "%lx-%lx", &start, &end), 2);
        assert_true(end - start >= sizeof(*board));
        snprintf(range, sizeof(range), "%lx-%lx", start, end);
        memcpy(&board, &start, sizeof(board));
    }
    fclose(file);
    return board;
}

static void test_nothing_is_shown_before_it_is_open(void **state)
{
    prov_board_count_client(CONSUL_BASIS_QUESTION);
    prov_board_count_refused(CONSUL_R_PEER_DENIED);
    prov_board_show_leaf(leaves[0]);
    assert_null(find_board());
}

/* A process with a limit for files (LimitFSIZE) has no board. The kernel counts the board as a file, and sends a signal. */
static void test_a_limit_for_files_ends_no_process(void **state)
{
    const struct rlimit little = {.rlim_cur = 1024, .rlim_max = 1024};
    char address[] = "http://127.0.0.1:8500";
    consul_settings settings = {.address = address};
    pid_t child = fork();
    int status;

    if (child == 0) {
        if (setrlimit(RLIMIT_FSIZE, &little) != 0)
            _exit(1);
        prov_board_describe(&settings, NULL);
        prov_board_open();
        prov_board_count_server();
        _exit(find_board() != NULL);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Run `check` in a child that has described its board, and has not opened it. It is before the first describe here. */
static void run_unopened(int (*check)(void))
{
    char address[] = "http://127.0.0.1:8500";
    consul_settings settings = {.address = address};
    pid_t child = fork();
    int status;

    if (child == 0) {
        prov_board_describe(&settings, NULL);
        _exit(find_board() == NULL ? check() : 1);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static int count_in_a_child(void)
{
    pid_t child = fork();
    int status = 1;

    if (child == 0) {
        prov_board_count_server();
        _exit(0);
    }
    return waitpid(child, &status, 0) == child && status == 0 && find_board() != NULL
                   && find_board()->admitted_servers == 1
               ? 0
               : 2;
}

/* Its children would have a board each otherwise. */
static void test_a_fork_opens_it(void **state)
{
    run_unopened(count_in_a_child);
}

static int hear_of_roots(void)
{
    prov_board_note_event(&(consul_event){.kind = CONSUL_EVENT_ROOTS_FIRST, .count = 3});
    return find_board() != NULL && find_board()->roots == 3 ? 0 : 2;
}

static void test_an_event_opens_it(void **state)
{
    run_unopened(hear_of_roots);
}

static void test_it_shows_no_password(void **state)
{
    char address[] = "http://user:word@127.0.0.1:8500", service[] = "web";
    consul_settings settings = {.address = address, .service = service};
    prov_board *board;

    prov_board_describe(&settings, NULL);
    prov_board_describe(NULL, &(consul_error){.reason = 1, .text = "a later instance"});
    assert_null(find_board());
    prov_board_open();
    board = find_board();
    assert_non_null(board);
    assert_true(board->magic == PROV_BOARD_MAGIC);
    assert_string_equal(board->head.service, "web");
    assert_string_equal(board->head.refusal, "");
    assert_lacks(board->head.agent, "word");
}

/* Only root may open the file of a mapping. */
static void test_its_size_is_sealed(void **state)
{
    char path[128];
    int fd;

    find_board();
    snprintf(path, sizeof(path), "/proc/self/map_files/%s", range);
    if ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0)
        skip();
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 1 << 20), -1);
    close(fd);
}

/* Check that a place has one of the two leaves, whole. */
static void check_place(const prov_board_leaf *place)
{
    const char *first = strrchr(consul_leaf_id(leaves[0])->uri, '/');

    assert_int_equal(place->sequence % 2, 0);
    assert_string_equal(strrchr(place->id, '/'), first);
    assert_true(place->valid_until > 0);
}

static void *show_and_count(void *arg)
{
    int i;

    for (i = 0; i < ROUNDS; i++) {
        if (i % 2 == 0)
            prov_board_count_client((enum consul_basis)(i / 2 % PROV_BOARD_BASES));
        else
            prov_board_count_server();
        prov_board_count_refused(CONSUL_R_PEER_DENIED);
        prov_board_show_leaf(leaves[i % 2]);
    }
    return NULL;
}

static void run_threads(void)
{
    pthread_t threads[THREADS];
    size_t i;

    for (i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, show_and_count, NULL), 0);
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void test_children_and_threads_count_together(void **state)
{
    uint64_t all = (uint64_t)THREADS * (CHILDREN + 1) * ROUNDS;
    prov_board *board = find_board();
    pid_t children[CHILDREN];
    size_t i, places = 0;
    int status;

    for (i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            run_threads();
            _exit(0);
        }
    }
    run_threads();
    for (i = 0; i < CHILDREN; i++) {
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_true(board->admitted_clients[0] + board->admitted_clients[1] + board->admitted_clients[2]
                == all / 2);
    assert_true(board->admitted_servers == all / 2);
    assert_true(board->refused[CONSUL_R_PEER_DENIED - CONSUL_R_OUT_OF_MEMORY] == all);
    for (i = 0; i < PROV_BOARD_LEAVES; i++)
        places += board->leaves[i].service != 0;
    assert_int_equal(places, 1);
    check_place(&board->leaves[0]);
}

static void test_a_renewed_leaf_takes_the_place(void **state)
{
    prov_board_leaf *place = &find_board()->leaves[0];
    int64_t first;

    prov_board_show_leaf(leaves[0]);
    first = place->valid_until;
    prov_board_show_leaf(leaves[1]);
    assert_true(place->valid_until != first);
    check_place(place);
}

/* A process that has ended while it wrote leaves an odd sequence. */
static void test_a_dead_writer_stops_no_handshake(void **state)
{
    prov_board_leaf *place = &find_board()->leaves[0];
    int64_t before = place->valid_until;

    place->sequence++;
    prov_board_show_leaf(leaves[0]);
    prov_board_show_leaf(leaves[1]);
    assert_true(place->valid_until == before);
    place->sequence++;
    prov_board_show_leaf(leaves[0]);
    assert_true(place->valid_until != before);
}

static void tell(enum consul_event_kind kind, int count, uint64_t index)
{
    prov_board_note_event(&(consul_event){.kind = kind,
                                          .count = count,
                                          .index = index,
                                          .until = 7,
                                          .text = index == 0 ? NULL : "leaf",
                                          .service = "web"});
}

/* Return the place of a process, or NULL. Check that it has one at most. */
static prov_board_process *place_of(prov_board *board, pid_t pid)
{
    prov_board_process *found = NULL;
    size_t i;

    for (i = 0; i < PROV_BOARD_PROCESSES; i++) {
        if (board->processes[i].pid != pid)
            continue;
        assert_null(found);
        found = &board->processes[i];
    }
    return found;
}

static void test_a_process_takes_a_place_with_its_second_handshake(void **state)
{
    prov_board *board = find_board();
    prov_board_process *place;

    tell(CONSUL_EVENT_VERDICTS, 3, 0);
    tell(CONSUL_EVENT_LOAD, 0, 0);
    tell(CONSUL_EVENT_LANE, 0, 0);
    assert_null(place_of(board, getpid()));
    tell(CONSUL_EVENT_SERVES, 0, 0);
    tell(CONSUL_EVENT_SERVES, 0, 0);
    place = place_of(board, getpid());
    assert_non_null(place);
    assert_true(place->verdicts == 0 && place->busy_until == 0);
    tell(CONSUL_EVENT_VERDICTS, 3, 0);
    tell(CONSUL_EVENT_LOAD, 0, 0);
    tell(CONSUL_EVENT_LANE, 1, 41);
    assert_true(place->verdicts == 3 && place->busy_until == 7);
    assert_string_equal(place->lanes[1].of, "leaf");
    assert_string_equal(place->lanes[1].service, "web");
    assert_true(place->lanes[1].index == 41 && place->lanes[1].answered > 0);
    assert_string_equal(place->lanes[0].of, "");
    tell(CONSUL_EVENT_LANE, 1, 0);
    assert_string_equal(place->lanes[1].of, "");
    assert_true(place->lanes[1].answered == 0);
}

/* A child shows its own watch, in a place of its own, and not as its parent. */
static void test_children_take_places_of_their_own(void **state)
{
    prov_board *board = find_board();
    prov_board_process *place = place_of(board, getpid());
    int i, status;
    pid_t child;

    tell(CONSUL_EVENT_VERDICTS, 5, 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tell(CONSUL_EVENT_VERDICTS, 9, 0);
        if (place_of(board, getpid()) != NULL)
            _exit(1);
        tell(CONSUL_EVENT_LANE, 0, 8);
        tell(CONSUL_EVENT_VERDICTS, 9, 0);
        _exit(place_of(board, getpid()) == NULL || place_of(board, getpid()) == place);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(place->verdicts == 5);
    assert_true(place_of(board, child)->verdicts == 9);
    /* More processes than places: the earliest give theirs up, and a living one takes another. */
    for (i = 0; i < PROV_BOARD_PROCESSES; i++) {
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            tell(CONSUL_EVENT_SERVES, 0, 0);
            _exit(place_of(board, getpid()) == NULL);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    assert_null(place_of(board, getpid()));
    tell(CONSUL_EVENT_VERDICTS, 6, 0);
    for (i = 0; i < PROV_BOARD_PROCESSES; i++)
        assert_true(board->processes[i].verdicts != 6);
    tell(CONSUL_EVENT_LANE, 0, 9);
    tell(CONSUL_EVENT_VERDICTS, 6, 0);
    assert_true(place_of(board, getpid())->verdicts == 6);
}

static void *serve(void *arg)
{
    tell(CONSUL_EVENT_SERVES, 0, 0);
    return NULL;
}

static void test_threads_take_one_place(void **state)
{
    prov_board *board = find_board();
    pthread_t threads[THREADS];
    pid_t child = fork();
    int i, status;

    assert_true(child >= 0);
    if (child == 0) {
        for (i = 0; i < THREADS; i++)
            pthread_create(&threads[i], NULL, serve, NULL);
        for (i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        _exit(place_of(board, getpid()) == NULL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_the_number_of_roots(void **state)
{
    prov_board *board = find_board();

    tell(CONSUL_EVENT_ROOTS_FIRST, 1, 0);
    assert_true(board->roots == 1 && board->roots_changed == 0);
    tell(CONSUL_EVENT_ROOTS_CHANGED, 2, 0);
    assert_true(board->roots == 2 && board->roots_changed == 1);
}

static void test_no_reason_is_out_of_its_room(void **state)
{
    assert_true(CONSUL_R_END - CONSUL_R_OUT_OF_MEMORY <= PROV_BOARD_REASONS);
    prov_board_count_refused(0);
    prov_board_count_refused(CONSUL_R_OUT_OF_MEMORY - 1);
    prov_board_count_refused(CONSUL_R_OUT_OF_MEMORY + PROV_BOARD_REASONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_shown_before_it_is_open),
        cmocka_unit_test(test_a_limit_for_files_ends_no_process),
        cmocka_unit_test(test_a_fork_opens_it),
        cmocka_unit_test(test_an_event_opens_it),
        cmocka_unit_test(test_it_shows_no_password),
        cmocka_unit_test(test_its_size_is_sealed),
        cmocka_unit_test(test_children_and_threads_count_together),
        cmocka_unit_test(test_a_renewed_leaf_takes_the_place),
        cmocka_unit_test(test_a_dead_writer_stops_no_handshake),
        cmocka_unit_test(test_a_process_takes_a_place_with_its_second_handshake),
        cmocka_unit_test(test_children_take_places_of_their_own),
        cmocka_unit_test(test_threads_take_one_place),
        cmocka_unit_test(test_the_number_of_roots),
        cmocka_unit_test(test_no_reason_is_out_of_its_room),
    };
    int failed;

    leaves[0] = read_leaf("leaf-1.8.7");
    leaves[1] = read_leaf("leaf-expired");
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    consul_leaf_unref(leaves[0]);
    consul_leaf_unref(leaves[1]);
    return failed;
}
