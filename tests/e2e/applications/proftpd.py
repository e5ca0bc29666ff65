# SPDX-License-Identifier: Apache-2.0
"""ProFTPD as its package configures it: a process for each client, chrooted once the client has logged in.

It exports functions of its own by names of jansson.
"""

import os
import pwd
import subprocess

from applications import documented
from applications.common import TEXT, launch, program, user

NAME = "ProFTPD"
PORT = "21"
S_CLIENT = ["-starttls", "ftp"]
ANSWER = f"230 {TEXT}"
RELEASED = True

PACKAGE = "/etc/proftpd/proftpd.conf"
USER, PASSWORD = "api", "secret"
REQUEST = f"USER {USER}\r\nPASS {PASSWORD}\r\nQUIT\r\n".encode()
READY = "ProFTPD .* standalone mode STARTUP"

MORE = """\
DefaultAddress 127.0.0.1
PidFile {folder}/pid
ScoreboardFile {folder}/scoreboard
ScoreboardMutex {folder}/scoreboard.lock
DelayTable {folder}/delays
AuthOrder mod_auth_file.c
AuthUserFile {folder}/users
RequireValidShell off
AccessGrantMsg "{text}"
"""


def configure(folder, port, certificate, key):
    """Write the package's configuration with the documented file in it, and a user with an empty home."""
    owner = pwd.getpwnam(user("ftp"))
    home = folder / "home"
    home.mkdir()
    os.chown(home, owner.pw_uid, owner.pw_gid)
    word = subprocess.run(["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True).stdout
    users = folder / "users"
    users.write_text(f"{USER}:{word.strip()}:{owner.pw_uid}:{owner.pw_gid}::{home}:/bin/false\n")
    users.chmod(0o600)
    own = documented("proftpd/web.conf", {
        "/etc/consul-provider/web.pem": certificate, "/etc/consul-provider/web.key": key})
    text = open(PACKAGE).read()
    for old, new in (("Include /etc/proftpd/conf.d/\n", own + MORE.format(folder=folder, text=TEXT)),
                     ("\nPort 21\n", f"\nPort {port}\n"), ("/var/log/proftpd", str(folder))):
        assert old in text, f"{PACKAGE} does not have {old!r}"
        text = text.replace(old, new)
    file = folder / "proftpd.conf"
    file.write_text(text)
    return [program("proftpd"), "-n", "-c", file]


def start(programs, config, certificate, key):
    def make(folder, port):
        return configure(folder, port, certificate, key)

    return launch(programs, config, make, READY, early=True)
