# SPDX-License-Identifier: Apache-2.0
"""Squid, of the package squid-openssl, in front of a server without TLS."""

import os
import signal

from applications import documented
from applications.common import HTTP_REQUEST, TEXT, backend, launch, program, user

NAME = "Squid"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = TEXT
WRAPPER = """\
pid_filename {folder}/pid
access_log none
cache_log {folder}/cache.log
coredump_dir {folder}
cache_mem 8 MB
cache deny all
shutdown_lifetime 0 seconds
cache_effective_user {user}
visible_hostname localhost
pinger_enable off
debug_options ALL,1 5,5
server_persistent_connections off
max_filedescriptors 1024
"""
# It says that it accepts connections just before it does. Its log of sockets is at level 5.
READY = r"Accepting .* FD (\d+) (?s:.*)SetSelect: FD \1, type=1"
RELOAD = (signal.SIGHUP, READY)


def command(folder, text):
    os.chmod(folder, 0o777)  # for the user that it becomes
    file = folder / "squid.conf"
    file.write_text(WRAPPER.format(folder=folder, user=user("proxy")) + text)
    return [program("squid"), "-N", "-d", "5", "-f", file]


def start(programs, config, certificate, key):
    def make(folder, port):
        return command(folder, documented("squid/web.conf", {
            "https_port 8443": f"https_port 127.0.0.1:{port}",
            "parent 8080": f"parent {backend(programs).port}",
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
        }))

    return launch(programs, config, make, READY)
