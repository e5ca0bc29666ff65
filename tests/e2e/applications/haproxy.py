# SPDX-License-Identifier: Apache-2.0
"""HAProxy: a master and a worker, chrooted and as another user, as Debian runs it."""

import base64
import pwd
import signal
from pathlib import Path

from applications import documented
from applications.common import HTTP_REQUEST, TEXT, TICKET_KEY, backend, launch, program, user

NAME = "HAProxy"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = TEXT
LATE = True
RELOAD = (signal.SIGUSR2, r"Loading success")

WRAPPER = """\
global
    chroot {folder}/empty
    uid {user.pw_uid}
    gid {user.pw_gid}
    log stderr local0

defaults
    mode http
    log global
    option http-server-close
    retries 0
    timeout connect 10s
    timeout client 60s
    timeout server 60s
"""
READY = r"Loading success"


def command(folder, text):
    """Return the arguments for a master with a worker: -W, or -Ws with systemd."""
    (folder / "empty").mkdir()
    wrapper, file = folder / "wrapper.cfg", folder / "haproxy.cfg"
    wrapper.write_text(WRAPPER.format(folder=folder, user=pwd.getpwnam(user("haproxy"))))
    file.write_text(text)
    return [program("haproxy"), "-W", "-f", wrapper, "-f", file]


def ticket_keys(folder):
    """Write the three keys that HAProxy wants to a file: next, current, previous."""
    file = folder / "ticket.keys"
    keys = [base64.b64encode(TICKET_KEY[begin:begin + 48]).decode() for begin in (0, 16, 32)]
    file.write_text("\n".join(keys) + "\n")
    return file


def start(programs, config, certificate, key):
    def make(folder, port):
        both = folder / "haproxy.pem"
        both.write_text(Path(certificate).read_text() + Path(key).read_text())
        return command(folder, documented("haproxy/haproxy.cfg", {
            "bind :8443": f"bind 127.0.0.1:{port}",
            "/etc/consul-provider/haproxy.pem": f"{both} tls-ticket-keys {ticket_keys(folder)}",
            "127.0.0.1:8080": f"127.0.0.1:{backend(programs).port}",
        }))

    return launch(programs, config, make, READY)
