# SPDX-License-Identifier: Apache-2.0
"""Postfix, whose process has entered its queue's folder and an own user before the first client."""

import os
import signal

from applications import documented
from applications.common import launch, program, user

NAME = "Postfix"
PORT = "25"
S_CLIENT = ["-starttls", "smtp"]
REQUEST = b"EHLO client.example\r\nMAIL FROM:<one@client.example>\r\nQUIT\r\n"
ANSWER = r"250 2\.1\.0 Ok"  # without TLS a STARTTLS is demanded here
RELEASED = True
SHUT = True
RELOAD = (signal.SIGHUP, r"reload -- version")

SBIN = "/usr/lib/postfix/sbin"
WRAPPER = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = {owner}
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = {sbin}
maillog_file = /dev/stdout
myhostname = web.example
inet_interfaces = 127.0.0.1
smtpd_forbid_unauth_pipelining = no
"""
MASTER = """\
127.0.0.1:{port} inet n - y - - smtpd
tlsmgr unix - - y 1000? 1 tlsmgr
anvil unix - - y - 1 anvil
rewrite unix - - y - - trivial-rewrite
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


def start(programs, config, certificate, key):
    def make(folder, port):
        for name in ("queue", "data"):
            (folder / name).mkdir()
        os.chmod(folder / "queue", 0o755)
        owner = user("postfix")
        (folder / "main.cf").write_text(WRAPPER.format(folder=folder, owner=owner, sbin=SBIN) + documented(
            "postfix/main.cf", {
                "/etc/consul-provider/web.pem": certificate,
                "/etc/consul-provider/web.key": key,
            }))
        (folder / "master.cf").write_text(MASTER.format(port=port))
        for argv in (["chown", owner, folder / "data"], [program("postfix"), "-c", folder, "check"]):
            assert programs.run(argv, None).code == 0, argv
        return [f"{SBIN}/master", "-c", folder, "-d"]

    return launch(programs, config, make, r"daemon started")
