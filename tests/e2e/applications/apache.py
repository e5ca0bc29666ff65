# SPDX-License-Identifier: Apache-2.0
"""Apache httpd: threads in forked children that share sessions and tickets."""

import grp
import os
import signal

from applications import documented
from applications.common import HTTP_REQUEST, TEXT, TICKET_KEY, document_root, launch, program, user

NAME = "Apache httpd"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = TEXT
RELOAD = (signal.SIGUSR1, r"resuming normal operations")

MODULES = "/usr/lib/apache2/modules"
WRAPPER = """\
ServerRoot {folder}
ServerName localhost
User {user}
Group #{group}
PidFile {folder}/pid
DefaultRuntimeDir {folder}
ErrorLog /dev/stderr
LogLevel notice
StartServers 2
{modules}
{more}
Include {folder}/web.conf
"""
SESSIONS = """\
SSLSessionCache shmcb:{folder}/sessions(512000)
SSLSessionTickets on
SSLSessionTicketKeyFile {folder}/ticket.key
"""
READY = "resuming normal operations"


def command(folder, text, modules, more=""):
    """Return the arguments for an Apache with these lines and modules, in the foreground as ever."""
    name = user("www-data")
    lines = [f"LoadModule {module}_module {MODULES}/mod_{module}.so" for module in modules]
    (folder / "web.conf").write_text(text)
    file = folder / "apache2.conf"
    file.write_text(WRAPPER.format(
        folder=folder, user=name, group=group_of(name), modules="\n".join(lines), more=more))
    return [program("apache2"), "-DFOREGROUND", "-f", file]


def group_of(name):
    return grp.getgrgid(os.getgid()).gr_gid if name == "nobody" else grp.getgrnam(name).gr_gid


def start(programs, config, certificate, key):
    def make(folder, port):
        (folder / "ticket.key").write_bytes(TICKET_KEY[:48])
        return command(folder, documented("apache/web.conf", {
            "Listen 8443": f"Listen 127.0.0.1:{port}",
            "*:8443": f"*:{port}",
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
            "/var/www/html": document_root(folder),
        }), ["mpm_event", "authz_core", "dir", "socache_shmcb", "ssl"], SESSIONS.format(folder=folder))

    return launch(programs, config, make, READY)
