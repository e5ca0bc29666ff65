# SPDX-License-Identifier: Apache-2.0
"""A copy of this host that systemd has booted, for units as they stand in examples/."""

import contextlib
import os
import subprocess
from pathlib import Path

from processes import wait_until

ROOT = Path(__file__).resolve().parents[3]
SYSTEMD = Path("/lib/systemd/systemd")
NAMESPACES = ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child"]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


# The hierarchies that systemd uses here: one of its own beside that of version 2, or that alone.
HIERARCHIES = [path for path in map(Path, ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"))
               if (path / "cgroup.procs").exists()]


class ControlGroups:
    """Control groups for the copy alone, so that nothing of it stays in those of this host."""

    def __init__(self, name):
        self.folders = [path / name for path in HIERARCHIES]
        for folder in self.folders:
            folder.mkdir()

    def enter(self, argv):
        """Return the arguments for a program that runs in them."""
        files = " ".join(str(folder / "cgroup.procs") for folder in self.folders)
        return ["sh", "-c", f'for file in {files}; do echo $$ >"$file"; done; exec "$@"', "sh", *argv]

    def remove(self):
        wait_until(self.removed, f"the end of {self.folders}")

    def removed(self):
        with contextlib.suppress(OSError):  # a process has not ended
            for folder in self.folders:
                for path, _, _ in os.walk(folder, topdown=False):
                    os.rmdir(path)
        return not any(folder.exists() for folder in self.folders)


def missing():
    """Return the reason why no host can be booted here, or None."""
    if os.geteuid() != 0:
        return "only root can boot a host"
    return None if SYSTEMD.exists() else "no systemd here"


class Host:
    """The booted copy. Commands run in it as root, in a folder of the sources."""

    def __init__(self, folder, consul):
        self.log = open(folder / "boot.log", "wb")
        copy = folder / "copy"
        copy.mkdir()
        self.groups = ControlGroups(f"consul-provider-{os.getpid()}")
        boot = [*NAMESPACES, "bash", Path(__file__).with_name("boot.sh"), ROOT, Path(consul).resolve(), copy]
        self.process = subprocess.Popen(
            self.groups.enter(boot), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        try:
            self.first = wait_until(self.child, "the first process")
            wait_until(lambda: self.run("systemctl is-active basic.target").returncode == 0, "basic.target")
        except AssertionError as error:
            text = (folder / "boot.log").read_text(errors="replace")
            self.close()
            raise AssertionError(f"{error}\n{text}") from None

    def child(self):
        assert self.process.poll() is None, "systemd has ended"
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().strip()

    def run(self, command):
        """Run a command of a shell. Return the completed process."""
        return subprocess.run(
            ["nsenter", f"--target={self.first}", "--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd",
             "env", "-i", "-C", ROOT, f"PATH={PATH}", "HOME=/root", "bash", "-c", command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)

    def do(self, command):
        """Run a command that has to succeed. Return its output."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}:\n{done.stdout}\n{self.run('journalctl --no-pager -n 60').stdout}"
        return done.stdout

    def until(self, command):
        """Run a command until it succeeds. Return its output."""
        return wait_until(lambda: (done := self.run(command)).returncode == 0 and (done.stdout or " "), command)

    def close(self):
        self.process.kill()  # and with it the first process, and all of its namespace
        self.process.wait()
        self.log.close()
        self.groups.remove()
