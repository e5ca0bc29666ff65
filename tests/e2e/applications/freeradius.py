# SPDX-License-Identifier: Apache-2.0
"""FreeRADIUS as its package configures it: a pool of threads, RADIUS over TLS, and EAP-TLS inside of RADIUS.

It keeps data with an SSL under ex_data numbers that it has never asked for.
"""

import hashlib
import re
import shutil
from pathlib import Path

from applications import documented
from applications.common import TEXT, launch, program, user

NAME = "FreeRADIUS"
PORT = "2083"
S_CLIENT = []
ANSWER = TEXT
RELEASED = True
KEEPS = True
RESUMES = False

PACKAGE = Path("/etc/freeradius/3.0")
SECRET = "testing123"  # of the package's client, localhost
USER, PASSWORD = "api", "secret"
USERS = f'{USER} Cleartext-Password := "{PASSWORD}"\n\tReply-Message := "{TEXT}"\n'
LISTEN = """\
listen {{
	type = auth
	ipaddr = 127.0.0.1
	port = {port}
}}
"""
# The usual limit for a client is 16 connections. A closed one counts for some seconds.
LIMIT = "limit {\n\t\t\tmax_connections = 0\n\t\t}\n\t\t"
# A method by which a client needs no certificate otherwise.
TTLS = "\tttls {\n\t\ttls = tls-common\n\t\tvirtual_server = default\n\t}\n"
READY = "Ready to process requests"


def attribute(number, value):
    return bytes([number, 2 + len(value)]) + value


def access_request(secret="radsec"):
    """Return the packet by which a user asks for access, with the shared secret of RADIUS over TLS or another."""
    authenticator = bytes(range(16))
    mask = hashlib.md5(secret.encode() + authenticator).digest()
    hidden = bytes(a ^ b for a, b in zip(PASSWORD.encode().ljust(16, b"\0"), mask))
    body = attribute(1, USER.encode()) + attribute(2, hidden)
    return bytes([1, 0]) + (20 + len(body)).to_bytes(2, "big") + authenticator + body


REQUEST = access_request()


def replaced(file, pattern, *values):
    """Replace what the pattern finds in the package's file, each time by the next of these values."""
    left = list(values)
    text = re.sub(pattern, lambda _: left.pop(0) if left else "", file.read_text())
    assert not left, f"{file} does not have {pattern!r} as often as expected"
    file.write_text(text)


def own_files(folder, *files):
    """Return copies of these files that FreeRADIUS can read as its user, and no other user can."""
    copies = []
    for file in files:
        copy = folder / Path(file).name
        shutil.copy(file, copy)
        shutil.chown(copy, user("freerad"))
        copies.append(copy)
    return copies


def configure(folder, port, certificate, key):
    """Write the package's configuration with the documented files in it. The port is for UDP and TCP."""
    raddb = folder / "raddb"
    shutil.copytree(PACKAGE, raddb, symlinks=True)
    for path in (folder, raddb, *raddb.rglob("*")):
        if not path.is_symlink():
            shutil.chown(path, user("freerad"))
    for name, value in (("raddbdir", raddb), ("logdir", folder), ("run_dir", folder),
                        ("\treject_delay", 0)):
        replaced(raddb / "radiusd.conf", rf"(?m)^{name} = .*$", f"{name} = {value}")
    # One port for UDP and TCP is free, so the sockets for accounting, IPv6 and inner tunnels are left out.
    (raddb / "sites-enabled" / "inner-tunnel").unlink()
    replaced(raddb / "sites-available" / "default", r"(?ms)^listen {.*?^}\n", LISTEN.format(port=port))
    (raddb / "mods-config" / "files" / "authorize").write_text(USERS)
    files = {"/etc/consul-provider/web.pem": certificate, "/etc/consul-provider/web.key": key}
    (raddb / "mods-available" / "eap").write_text(documented("freeradius/eap.conf", {
        **files, "\ttls {": TTLS + "\ttls {"}))
    (raddb / "sites-enabled" / "tls").write_text(documented("freeradius/radsec.conf", {
        **files, "ipaddr = *\n\tport = 2083": f"ipaddr = 127.0.0.1\n\tport = {port}",
        "secret": f"{LIMIT}secret"}))
    return [program("freeradius"), "-f", "-l", "stdout", "-d", raddb]


def start(programs, config, certificate, key):
    def make(folder, port):
        return configure(folder, port, *own_files(folder, certificate, key))

    return launch(programs, config, make, READY)


def start_proxy(programs, config, certificate, key, home):
    """Start one that asks another FreeRADIUS by RADIUS over TLS, and takes requests over UDP."""
    def make(folder, port):
        certificate_file, key_file = own_files(folder, certificate, key)
        command = configure(folder, port, certificate_file, key_file)
        raddb = folder / "raddb"
        (raddb / "sites-enabled" / "tls").unlink()
        (raddb / "mods-config" / "files" / "authorize").write_text("")
        (raddb / "proxy.conf").write_text("proxy server {\n}\n" + documented("freeradius/home_server.conf", {
            "/etc/consul-provider/api.pem": certificate_file, "/etc/consul-provider/api.key": key_file,
            "port = 2083": f"port = {home.port}"}))
        return command

    return launch(programs, config, make, READY)
