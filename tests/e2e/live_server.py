# SPDX-License-Identifier: Apache-2.0
"""A server on Python's ssl module, in the process model that its first argument names.

    one       all in one process and thread
    threads   a thread for each connection, on one SSLContext
    contexts  the same, on an SSLContext each
    forks     a child for each connection, one after the other
    siblings  the same, many at the same time
    prefork   serves two connections, then forks; the child serves the others
    jailed    changes its root directory and its user before it serves
    closing   after two connections, closes all descriptors that it does not know and opens its own there
    wiped     serves without an environment
    few       may open hardly any more descriptors after two connections

Arguments: process model, certificate file, key file, an empty directory. Echoes one message for each
connection, and prints SERVED or REFUSED, its pid, and why. Ends with status 0 on SIGTERM.
"""

import os
import resource
import select
import signal
import socket
import ssl
import sys
import threading

HOSTS = b"of the host"


def context_of(files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


def say(line):
    os.write(1, (line + "\n").encode())


def serve(context, client):
    client.settimeout(20)
    try:
        with context.wrap_socket(client, server_side=True) as connection:
            connection.sendall(connection.recv(64))
        say(f"SERVED {os.getpid()}")
    except OSError as error:
        say(f"REFUSED {os.getpid()} {error}")


def take_descriptors(known):
    """Close all descriptors that it does not know, and give their numbers to files of its own."""
    highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    for fd in range(3, highest + 1):
        if fd not in known:
            try:
                os.close(fd)
            except OSError:
                pass
    files = []
    while not files or files[-1] < highest:
        files.append(os.memfd_create("mine"))
        os.write(files[-1], HOSTS)
        os.lseek(files[-1], 0, os.SEEK_SET)
    return files


def prepare(model, folder):
    if model == "jailed":
        os.chroot(folder)
        os.setgid(65534)
        os.setuid(65534)
    elif model == "wiped":
        os.environ.clear()


def wake_by_signals():
    """Return both ends of a pipe; the first can be read from after a signal."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    return reader, writer


def main(model, certificate, key, folder):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    files, taken, count = (certificate, key), [], 0
    context = context_of(files)
    listener = socket.create_server(("127.0.0.1", 0))
    say("ACCEPT 127.0.0.1:%d" % listener.getsockname()[1])
    prepare(model, folder)
    woken = wake_by_signals()
    if model == "siblings":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        select.select([listener, woken[0]], [], [])  # a signal just before accept() would not end it
        client, _ = listener.accept()
        count += 1
        if model == "closing" and count == 3:
            taken = take_descriptors({listener.fileno(), client.fileno(), *woken})
        if model == "few" and count == 3:
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, client.fileno() + 1))
        if model == "prefork" and count == 3 and os.fork() != 0:
            client.close()
            listener.close()
            os.wait()
            return
        if model in ("forks", "siblings") and os.fork() != 0:
            client.close()
            if model == "forks":
                os.wait()
        elif model in ("threads", "contexts"):
            own = context if model == "threads" else context_of(files)
            threading.Thread(target=serve, args=(own, client), daemon=True).start()
        else:
            serve(context, client)
            if model in ("forks", "siblings"):
                os._exit(0)
        for file in taken:
            whole = os.pread(file, 64, 0) == HOSTS and os.lseek(file, 0, os.SEEK_CUR) == 0
            say("UNTOUCHED" if whole else f"TOUCHED {file}")


main(*sys.argv[1:])
