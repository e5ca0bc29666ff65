# SPDX-License-Identifier: Apache-2.0
"""A newcomer: the commands of the pages run as they stand, as root, on a copy of this host."""

import json
import re
import select
import shlex
import subprocess
import time
from pathlib import Path

from processes import PATIENCE

ROOT = Path(__file__).resolve().parents[3]
NAMESPACES = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]

SYSLOG = """
import os
import socket
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log")
os.chmod("/dev/log", 0o666)
print(flush=True)
while True:
    line = log.recv(65536)
    with open("/var/log/syslog", "ab") as file:
        file.write(line + b"\\n")
"""


def blocks(page, language="sh"):
    """Return the code of a page, block by block."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


class Host:
    """A shell on a copy of this host; `replacements` are the words that a test has to change in the commands."""

    def __init__(self, folder, consul, replacements):
        self.replacements = replacements
        self.unused = set(replacements)
        self.shell = subprocess.Popen(
            [*NAMESPACES, "bash", Path(__file__).with_name("host.sh"), ROOT, Path(consul).resolve(), folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.do("trap 'failed=${failed:-$BASH_COMMAND}' ERR")
        self.do(f"mkfifo /tmp/ready; python3 -c {shlex.quote(SYSLOG)} >/tmp/ready & read -r line </tmp/ready")

    def run(self, shown):
        """Run commands as a page shows them. Return the first command that failed, and all output."""
        for words, ours in self.replacements.items():
            if words in shown:
                self.unused.discard(words)
                shown = shown.replace(words, ours)
        return self.attempt(shown)

    def shown(self, commands):
        """Run commands of a page, which have to succeed. Return their output."""
        failed, output = self.run(commands)
        assert not failed, f"{failed}:\n{output}"
        return output

    def refused(self, commands):
        """Run commands, the last of which has to fail. Return their output."""
        failed, output = self.run(commands)
        assert failed, f"{commands} succeeded:\n{output}"
        return output

    def attempt(self, commands):
        """Run commands in the shell. Return the first command that failed, and all output."""
        commands = f"failed=; eval {shlex.quote(commands)} >/tmp/output 2>&1 </dev/null\n"
        answer = "python3 -c 'import json, sys; print(json.dumps([sys.argv[1], open(\"/tmp/output\").read()]))' \"$failed\"\n"
        self.shell.stdin.write((commands + answer).encode())
        self.shell.stdin.flush()
        ready, _, _ = select.select([self.shell.stdout], [], [], 2 * PATIENCE)
        line = self.shell.stdout.readline() if ready else b""
        assert line, f"no end of {commands}"
        return json.loads(line)

    def do(self, commands):
        """Run commands of the test itself. Return their output."""
        failed, output = self.attempt(commands)
        assert not failed, f"{failed}:\n{output}"
        return output

    def until(self, commands, good=True):
        """Run commands until they succeed, or until they fail. Return their output."""
        end = time.monotonic() + PATIENCE
        while True:
            failed, output = self.run(commands)
            if bool(failed) != good:
                return output
            assert time.monotonic() < end, f"{commands}: {failed}:\n{output}"

    def close(self):
        """End the shell, and with it all that was started in it."""
        self.shell.kill()
        self.shell.communicate()
