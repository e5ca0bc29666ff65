# SPDX-License-Identifier: Apache-2.0
"""lighttpd, which sets a certificate callback and a client hello callback of its own."""

import signal

from applications import documented
from applications.common import HTTP_REQUEST, TEXT, TICKET_KEY, document_root, launch, program

NAME = "lighttpd"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = TEXT
LATE = True
RELOAD = (signal.SIGUSR1, r"server started")

WRAPPER = """\
server.bind = "127.0.0.1"
index-file.names = ( "index.html" )
mimetype.assign = ( ".html" => "text/html" )
include "{folder}/web.conf"
ssl.stek-file = "{folder}/ticket.key"
ssl.openssl.ssl-conf-cmd = ( "Options" => "SessionTicket", "MinProtocol" => "TLSv1.2" )
"""
READY = "server started"
# Version 0; of use from the beginning till 2037, in any order of the bytes; name, HMAC key, AES key.
STEK = bytes(4) + bytes(4) + 4 * b"\x7f" + TICKET_KEY


def start(programs, config, certificate, key):
    def make(folder, port):
        (folder / "ticket.key").write_bytes(STEK)
        (folder / "web.conf").write_text(documented("lighttpd/web.conf", {
            "8443": port,
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
            "/var/www/html": document_root(folder),
        }))
        file = folder / "lighttpd.conf"
        file.write_text(WRAPPER.format(folder=folder))
        return [program("lighttpd"), "-D", "-f", file]

    return launch(programs, config, make, READY)
