# SPDX-License-Identifier: Apache-2.0
"""Runs of peer.c, a program without any knowledge of the provider, and the cost of its ends."""

import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

PLAIN_TCP = ("-", "-", "-", "any", "auto")
PATIENCE = 300


class Runtime:
    """An OpenSSL, and the module and programs that were built against it.

    The loader runs an OpenSSL of another Debian, with the libraries of its tree, on this kernel.
    """

    def __init__(self, build, programs, tree=None):
        self.programs = programs  # their module was built here, too
        self.loader = []
        if tree:
            libraries = [tree / "usr/lib" / self.triplet(), tree / "lib" / self.triplet()]
            self.loader = [tree / "lib64/ld-linux-x86-64.so.2", "--library-path", ":".join(map(str, libraries))]
        self.program = build / "tests/bench/peer"
        self.paced_clock = build / "tests/bench/paced_clock.so"
        self.lock_counts = build / "tests/bench/lock_counts.so"
        self.openssl = tree / "usr/bin/openssl" if tree else shutil.which("openssl")
        self.name = " ".join(self.run([self.openssl, "version"]).split()[:2])
        self.version = ".".join(self.name.split()[1].split(".")[:2])

    @staticmethod
    def triplet():
        return subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True, check=True).stdout.strip()

    def command(self, argv):
        return [str(argument) for argument in (*self.loader, *argv)]

    def run(self, argv):
        return subprocess.run(self.command(argv), capture_output=True, text=True, check=True).stdout

    def peer(self, verb, side, *more, version=None, before=()):
        """Return the command and the environment; `version` chooses one of the side's versions."""
        way = [*side.files, version or side.version, side.chain]
        return ([*before, *self.command([self.program, verb, *way, *more])],
                self.programs.environment(side.config))


@dataclass
class Side:
    """How one end is configured."""

    config: Path = None  # openssl.cnf with the provider
    files: tuple = PLAIN_TCP[:3]  # certificate, key, CA
    version: str = "any"
    chain: str = "auto"


@dataclass
class Load:
    """The results of a client."""

    count: int
    before: int  # to become warm
    failed: int
    seconds: float
    cpu: float
    median: float
    p90: float
    p99: float

    @property
    def rate(self):
        return self.count / self.seconds


def load(runtime, verb, side, port, threads, seconds, rate=0, version=None):
    argv, environment = runtime.peer(verb, side, port, threads, seconds, rate, version=version)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    values = done.stdout.split()
    result = Load(*map(int, values[:3]), *map(float, values[3:]))
    assert result.count and not result.failed, f"{result.failed} of {result.count} failed: {argv}"
    return result


class Running:
    """A peer that goes on until it is stopped. It prints lines."""

    def __init__(self, argv, environment):
        self.began = time.monotonic()
        self.child = subprocess.Popen(
            argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def pid(self):
        return self.child.pid

    def line(self):
        line = self.child.stdout.readline()
        assert line, f"{self.child.args} ended with {self.child.wait()}"
        return line

    def stop(self):
        self.child.stdin.close()
        self.child.wait(PATIENCE)
        self.child.stdout.close()


class Server(Running):
    def __init__(self, runtime, side, threads, more_environment=None):
        argv, environment = runtime.peer("serve", side, threads)
        super().__init__(argv, {**environment, **(more_environment or {})})
        self.port = int(self.line())


class Holder(Running):
    """Opens connections one after the other; at[n] is when it had the nth, of some n."""

    def __init__(self, runtime, side, port, count, version=None):
        super().__init__(*runtime.peer("hold", side, port, count, version=version))
        self.at = {}
        while (line := self.line()) != "all\n":
            number, moment = line.split()
            self.at[int(number)] = float(moment)


class Trickle:
    """A few connections a second, by which a busy server stays busy while others are measured."""

    RATE = 30

    def __init__(self, runtime, side, port):
        argv, environment = runtime.peer("connect", side, port, 1, 10**6, self.RATE)
        self.child = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL)

    def stop(self):
        self.child.kill()
        self.child.wait()


def cpu(pid):
    """Return the CPU seconds that all threads of a process have used (see clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def memory(pid):
    """Return its share of the resident memory (PSS), in kB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1))


class Meter:
    """CPU seconds that some processes use meanwhile."""

    def __init__(self, *pids):
        self.pids = pids

    def __enter__(self):
        self.began, self.before = time.monotonic(), [cpu(pid) for pid in self.pids]
        return self

    def __exit__(self, *_):
        self.cpu = sum(cpu(pid) for pid in self.pids) - sum(self.before)
        self.seconds = time.monotonic() - self.began
