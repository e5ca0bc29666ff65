# SPDX-License-Identifier: Apache-2.0
"""Prosody, a server of XMPP on LuaSec. It verifies its peers in the place of OpenSSL, and takes any."""

import signal

from applications import documented
from applications.common import launch, program

NAME = "Prosody"
PORT = "5222"
HOST = "web.service.consul"
S_CLIENT = ["-starttls", "xmpp", "-xmpphost", HOST]
REQUEST = (
    f"<stream:stream to='{HOST}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'></stream:stream>").encode()
ANSWER = "<mechanism>PLAIN</mechanism>"  # offered where there is TLS
RESUMES = False
SHUT = True
RELOAD = (signal.SIGHUP, r"Reloading configuration")
# The same for other servers of XMPP.
SERVER_CLIENT = ["-starttls", "xmpp-server", "-xmpphost", HOST]
SERVER_REQUEST = (
    f"<stream:stream from='peer.example' to='{HOST}' version='1.0' xmlns='jabber:server' "
    "xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'></stream:stream>").encode()
SERVER_ANSWER = "<dialback "

WRAPPER = """\
modules_enabled = {{ "disco"; "saslauth"; "tls"; "dialback"; "posix" }}
modules_disabled = {{ {disabled} }}
authentication = "internal_hashed"
data_path = "{folder}"
pidfile = "{folder}/pid"
run_as_root = true
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{ }}
s2s_ports = {{ {port} }}
s2s_direct_tls_ports = {{ }}
log = {{ info = "*console" }}
certificates = "{folder}"
Include "{folder}/web.cfg.lua"
"""


def start(programs, config, certificate, key, kind="c2s"):
    """Start it for clients, or with the kind "s2s" for other servers."""
    def make(folder, port):
        (folder / "web.cfg.lua").write_text(documented("prosody/web.cfg.lua", {
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
        }))
        file = folder / "prosody.cfg.lua"
        file.write_text(WRAPPER.format(
            folder=folder, port=port, disabled='"s2s"' if kind == "c2s" else '"c2s"'))
        return [program("prosody"), "-F", "--config", file]

    return launch(programs, config, make, f"Activated service '{kind}'")
