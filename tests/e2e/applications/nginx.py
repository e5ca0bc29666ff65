# SPDX-License-Identifier: Apache-2.0
"""nginx: a master that reads the configuration, and two workers that share sessions and tickets."""

import signal

from applications import documented
from applications.common import HTTP_REQUEST, TEXT, TICKET_KEY, document_root, launch, program, user

NAME = "nginx"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = TEXT
RELOAD = (signal.SIGHUP, r"start worker process ")
CORE = True

WRAPPER = """\
daemon off;
worker_processes 2;
user {user};
pid {folder}/pid;
error_log stderr notice;
events {{ }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{more}
    include {folder}/web.conf;
}}
"""
REUSED = "session resumed: r"  # in its log
SESSIONS = """\
    log_format sessions "session resumed: $ssl_session_reused";
    access_log /dev/stderr sessions;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:sessions:1m;
    ssl_session_tickets on;
    ssl_session_ticket_key {folder}/ticket.key;
"""
READY = r"start worker process \d+[^$]*start worker process \d+"


def command(folder, text, more="access_log off;"):
    """Return the arguments for an nginx with these lines in its http section."""
    (folder / "web.conf").write_text(text)
    file = folder / "nginx.conf"
    file.write_text(WRAPPER.format(folder=folder, user=user("www-data"), more=more))
    return [program("nginx"), "-p", folder, "-e", "stderr", "-c", file]


def start(programs, config, certificate, key):
    def make(folder, port):
        (folder / "ticket.key").write_bytes(TICKET_KEY)
        return command(folder, documented("nginx/web.conf", {
            "listen 8443": f"listen 127.0.0.1:{port}",
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
            "/var/www/html": document_root(folder),
        }), SESSIONS.format(folder=folder))

    return launch(programs, config, make, READY)
