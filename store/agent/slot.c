/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/slot.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SLOTS 32         /* processes of a host that watch one agent */
#define SLOTS_ASKED 4    /* slots that one refused request asks for */
#define CROWDED_MS 10000 /* the longest time without a slot after a crowd */

static _Atomic(consul_deadline) crowded_until;

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u; /* FNV-1a */
    return hash;
}

static socklen_t name_slot(const consul_agent *agent, int number, struct sockaddr_un *address)
{
    uint64_t hash =
        hash_text(hash_text(0xcbf29ce484222325u, agent->address.base), agent->address.socket_path);
    int len;

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    len = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1,
                   "consul-provider/%016llx/%d", (unsigned long long)hash, number);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

int consul_slot_take(const consul_agent *agent)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), i;

    for (i = 0; fd >= 0 && i < SLOTS; i++) {
        struct sockaddr_un address;
        socklen_t len = name_slot(agent, i, &address);

        if (bind(fd, (struct sockaddr *)&address, len) == 0)
            return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

bool consul_slot_is_asked_for(int fd)
{
    char word;

    return recv(fd, &word, 1, MSG_DONTWAIT) > 0;
}

/* Open the directory of the agent's socket. Return -1 without one that this process can read. */
static int open_directory(const consul_agent *agent)
{
    const char *path = agent->address.socket_path,
               *slash = path == NULL ? NULL : strrchr(path, '/');
    char directory[sizeof(((struct sockaddr_un *)0)->sun_path)];

    if (path == NULL || strlen(path) >= sizeof(directory))
        return -1;
    snprintf(directory, sizeof(directory), "%.*s", slash == NULL ? 0 : (int)(slash - path), path);
    return open(slash == NULL   ? "."
                : slash == path ? "/"
                                : directory,
                O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Look without an own lock. A lock is its process's, so that no child inherits it. */
bool consul_slot_is_asked_by_lock(const consul_agent *agent, bool *passed_over)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open_directory(agent);
    bool asked;

    if (fd < 0)
        return false;
    asked = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    if (!asked)
        return false;
    /* The word goes on where too few have heeded it. */
    *passed_over = !*passed_over && consul_jitter(2) == 1;
    return !*passed_over;
}

/* Take a shared lock on the directory of the agent's socket. */
static void ask_by_lock(const consul_agent *agent, consul_descriptor *word)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

    if (word->fd >= 0 || consul_descriptor_take(word, open_directory(agent)))
        fcntl(word->fd, F_SETLK, &lock);
}

void consul_slot_ask_for_some(const consul_agent *agent, consul_descriptor *word)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), asked = 0, i;
    int first = (int)consul_jitter((int64_t)2 * SLOTS);

    for (i = 0; fd >= 0 && i < SLOTS && asked < SLOTS_ASKED; i++) {
        struct sockaddr_un address;
        socklen_t len = name_slot(agent, (first + i) % SLOTS, &address);

        if (sendto(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address, len) == 1)
            asked++;
    }
    if (fd >= 0)
        close(fd);
    if (asked < SLOTS_ASKED) /* others may not share the names */
        ask_by_lock(agent, word);
    consul_slot_note_crowd();
}

void consul_slot_note_crowd(void)
{
    atomic_store(&crowded_until, consul_deadline_after(consul_jitter(CROWDED_MS)));
}

bool consul_slot_is_crowd(void)
{
    return consul_now_ms() < atomic_load(&crowded_until);
}
