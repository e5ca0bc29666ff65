# SPDX-License-Identifier: Apache-2.0
"""stunnel: a thread for each connection, and tickets by a key that other hosts may share."""

import signal

from applications import documented
from applications.common import HTTP_REQUEST, TEXT, TICKET_KEY, backend, launch, program

NAME = "stunnel"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = TEXT
RELOAD = (signal.SIGHUP, r"Configuration successful")

WRAPPER = """\
foreground = yes
pid =
debug = notice
syslog = no
"""
SESSIONS = f"""\
sessionCacheSize = 1000
ticketKeySecret = {TICKET_KEY[:32].hex()}
ticketMacSecret = {TICKET_KEY[32:64].hex()}
"""
READY = "Configuration successful"


def command(folder, text):
    file = folder / "stunnel.conf"
    file.write_text(WRAPPER + text)
    return [program("stunnel4"), file]


def start(programs, config, certificate, key):
    def make(folder, port):
        return command(folder, documented("stunnel/web.conf", {
            "accept = 8443": f"accept = 127.0.0.1:{port}",
            "127.0.0.1:8080": f"127.0.0.1:{backend(programs).port}",
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
        }) + SESSIONS)

    return launch(programs, config, make, READY)
