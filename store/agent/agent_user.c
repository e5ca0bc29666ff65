/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_user.h"

#include "base/descriptor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define USER_RECORD_MAX 16384 /* bytes of a row of passwd(5) */
#define KERNEL_ANSWER_MS 1000 /* the kernel answers at once, or not at all */

int consul_agent_user_parse(const char *text, uid_t *uid, consul_error *err)
{
    char buffer[USER_RECORD_MAX], *end;
    struct passwd record, *found = NULL;
    unsigned long number;

    errno = 0;
    number = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && number < (uid_t)-1) {
        *uid = (uid_t)number;
        return 1;
    }
    if (getpwnam_r(text, &record, buffer, sizeof(buffer), &found) != 0 || found == NULL)
        return consul_error_set(err, CONSUL_R_SETTING_INVALID,
                                "agent_user = \"%s\": allowed are the name and the number of a "
                                "user of this host",
                                text);
    *uid = found->pw_uid;
    return 1;
}

/* Parse an address and a port in libcurl's form. Return the address family, or -1. */
static int parse_end(const char *ip, int port, __be32 address[4], __be16 *network_port)
{
    int family = strchr(ip, ':') == NULL ? AF_INET : AF_INET6;

    *network_port = htons((uint16_t)port);
    return inet_pton(family, ip, address) == 1 ? family : -1;
}

/*
 * Ask the kernel for the socket with these ends. Return false without such a socket. With port 0 at
 * the other end, the kernel finds the socket that listens.
 */
static bool find_socket(int kernel, int family, const struct inet_diag_sockid *ends,
                        struct inet_diag_msg *found)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } question = {
        .header = {.nlmsg_len = sizeof(question),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST},
        .request = {.sdiag_family = (uint8_t)family,
                    .sdiag_protocol = IPPROTO_TCP,
                    .idiag_states = ~0U,
                    .id = *ends},
    };
    union {
        struct nlmsghdr header;
        char bytes[4096];
    } answer;
    ssize_t len;

    if (send(kernel, &question, sizeof(question), MSG_NOSIGNAL) != (ssize_t)sizeof(question))
        return false;
    len = recv(kernel, &answer, sizeof(answer), 0);
    if (len < (ssize_t)NLMSG_LENGTH(sizeof(*found)) || !NLMSG_OK(&answer.header, (size_t)len)
        || answer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return false;
    memcpy(found, NLMSG_DATA(&answer.header), sizeof(*found));
    return true;
}

/*
 * Find the user at the server's end. A connection that no program has accepted yet has no inode. It
 * belongs to the program that listens, and ends with its socket. For an end in another network
 * namespace, the kernel finds at most a socket that listens here.
 */
static bool find_user(int kernel, const consul_connection *connection, uid_t *uid)
{
    struct inet_diag_sockid ends = {.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}};
    struct inet_diag_msg found;
    int family =
        parse_end(connection->agent_ip, connection->agent_port, ends.idiag_src, &ends.idiag_sport);

    if (family < 0
        || parse_end(connection->own_ip, connection->own_port, ends.idiag_dst, &ends.idiag_dport)
               != family
        || !find_socket(kernel, family, &ends, &found) || found.idiag_state == TCP_LISTEN)
        return false;
    if (found.idiag_inode == 0) {
        ends.idiag_dport = 0;
        if (!find_socket(kernel, family, &ends, &found) || found.idiag_state != TCP_LISTEN)
            return false;
    }
    *uid = found.idiag_uid;
    return true;
}

static bool find_tcp_user(const consul_connection *connection, uid_t *uid)
{
    struct timeval patience = {.tv_sec = KERNEL_ANSWER_MS / 1000};
    int kernel = consul_descriptor_above_stderr(
        socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    bool ok = kernel >= 0
              && setsockopt(kernel, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0
              && connect(kernel, (struct sockaddr *)&address, sizeof(address)) == 0
              && find_user(kernel, connection, uid);

    if (kernel >= 0)
        close(kernel);
    return ok;
}

static bool find_unix_user(int fd, uid_t *uid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || len != sizeof(peer))
        return false;
    *uid = peer.uid;
    return true;
}

int consul_agent_user_check(const consul_connection *connection, const char *wanted,
                            uid_t wanted_uid, consul_error *err)
{
    uid_t uid;

    if (!(connection->is_unix ? find_unix_user(connection->fd, &uid)
                              : find_tcp_user(connection, &uid)))
        return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                                "agent_user = %s: the kernel does not know the user at the "
                                "agent's end of the connection; take a unix socket or a loopback "
                                "address of this host",
                                wanted);
    if (uid == wanted_uid)
        return 1;
    return consul_error_set(err, CONSUL_R_AGENT_ANSWER_INVALID,
                            "agent_user = %s: a program of the user with the number %lu has the "
                            "agent's address, and got no token",
                            wanted, (unsigned long)uid);
}
