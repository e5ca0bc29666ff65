/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/slot.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

bool consul_slot_is_asked_by_socket(const consul_agent *agent, consul_slot_socket *seen)
{
    struct stat now;
    bool asked;

    if (agent->address.socket_path == NULL || stat(agent->address.socket_path, &now) != 0)
        return false;
    /* A restarted agent has made another socket. */
    asked = seen->inode == now.st_ino
            && (seen->modified.tv_sec != now.st_mtim.tv_sec
                || seen->modified.tv_nsec != now.st_mtim.tv_nsec);
    seen->inode = now.st_ino;
    seen->modified = now.st_mtim;
    if (!asked)
        return false;
    /* Another word follows where too few have heeded this one. */
    seen->passed_over = !seen->passed_over && consul_jitter(2) == 1;
    return !seen->passed_over;
}

void consul_slot_ask_for_some(const consul_agent *agent)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), asked = 0, i;
    int first = (int)consul_jitter(2 * SLOTS);

    for (i = 0; fd >= 0 && i < SLOTS && asked < SLOTS_ASKED; i++) {
        struct sockaddr_un address;
        socklen_t len = name_slot(agent, (first + i) % SLOTS, &address);

        if (sendto(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address, len) == 1)
            asked++;
    }
    if (fd >= 0)
        close(fd);
    if (asked < SLOTS_ASKED && agent->address.socket_path != NULL)
        utimensat(AT_FDCWD, agent->address.socket_path, NULL,
                  0); /* others may not share the names */
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
