# SPDX-License-Identifier: Apache-2.0
"""Dovecot, with a process for each connection, which has entered an empty folder and an own user before."""

import re
import signal

from applications import documented
from applications.common import launch, program

NAME = "Dovecot"
PORT = "993"
S_CLIENT = []
REQUEST = b"a LOGOUT\r\n"
ANSWER = r"\* BYE Logging out"
RESUMES = False
ROOT = True
RELEASED = True
SHUT = True
RELOAD = (signal.SIGHUP, r"SIGHUP received")

WRAPPER = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
listen = 127.0.0.1
passdb {{
  driver = static
  args = nopassword
}}
"""
WRAPPER_2_4 = """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
listen = 127.0.0.1
passdb static {{
  fields {{
    nopassword = yes
  }}
}}
"""


def start(programs, config, certificate, key):
    def make(folder, port):
        file = folder / "dovecot.conf"
        is_2_3 = re.match(r"2\.3", programs.run([program("dovecot"), "--version"]).stdout)
        wrapper, shown = (WRAPPER, "dovecot/web.conf") if is_2_3 else (WRAPPER_2_4, "dovecot/web-2.4.conf")
        file.write_text(wrapper.format(folder=folder) + documented(shown, {
            "port = 993": f"port = {port}",
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
        }))
        return [program("dovecot"), "-F", "-c", file]

    return launch(programs, config, make, r"starting up for imap", early=True)
