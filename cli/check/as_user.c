/* SPDX-License-Identifier: Apache-2.0 */
#include "check/as_user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int become(const char *user, char *text, size_t size)
{
    const struct passwd *entry = getpwnam(user);

    if (entry == NULL)
        snprintf(text, size, "no user has the name \"%s\"", user);
    else if (entry->pw_uid == geteuid())
        return 1;
    else if (initgroups(user, entry->pw_gid) != 0 || setgid(entry->pw_gid) != 0
             || setuid(entry->pw_uid) != 0)
        snprintf(text, size, "this command cannot become the user \"%s\": %s", user,
                 strerror(errno));
    else
        return 1;
    return 0;
}

static void run_child(const char *user, cli_step_fn *step, const char *path, int fd, size_t size)
{
    char text[1024] = "";

    if (user == NULL || become(user, text, sizeof(text)))
        step(path, text, size < sizeof(text) ? size : sizeof(text));
    _exit(write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : 1);
}

void cli_as_user(const char *user, cli_step_fn *step, const char *path, char *text, size_t size)
{
    int fds[2], status = 0;
    size_t len = 0;
    ssize_t got;
    pid_t child;

    *text = '\0';
    if (pipe(fds) != 0 || (child = fork()) < 0) {
        snprintf(text, size, "no process could be made: %s", strerror(errno));
        return;
    }
    if (child == 0)
        run_child(user, step, path, fds[1], size);
    close(fds[1]);
    while (len < size - 1 && (got = read(fds[0], text + len, size - 1 - len)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    close(fds[0]);
    waitpid(child, &status, 0);
    if (*text == '\0' && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        snprintf(text, size, "the process that tried it has crashed");
}
