# SPDX-License-Identifier: Apache-2.0
"""Processes that a test starts, watches by their output, and always ends."""

import os
import pty
import re
import signal
import subprocess
import threading
import time
import tty

PATIENCE = 60  # seconds: how long a condition may take on a slow machine before the test fails
POLL = 0.01


def wait_until(condition, what, patience=PATIENCE, poll=POLL):
    """Return the condition's first true value."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s for {what}")
        time.sleep(poll)


class Process:
    """A program in its own process group; stdin is a pipe, stdout and stderr go to one log.

    They go through a raw pseudo-terminal, so that the program does not hold its lines back.
    """

    def __init__(self, argv, env, log, cwd=None, **options):
        self.log = log
        self.argv = [str(argument) for argument in argv]
        self.written = bytearray()
        reader, writer = pty.openpty()
        tty.setraw(writer)
        try:
            self.child = subprocess.Popen(
                self.argv, env=env, cwd=cwd, stdin=subprocess.PIPE, stdout=writer, stderr=writer,
                start_new_session=True, **options,
            )
        finally:
            os.close(writer)
        self.pump = threading.Thread(target=self.collect, args=(reader,), daemon=True)
        self.pump.start()

    def collect(self, reader):
        with open(self.log, "wb", buffering=0) as log, open(reader, "rb", buffering=0) as source:
            while True:
                try:
                    data = source.read(65536)
                except OSError:  # EIO: the program has ended
                    return
                if not data:
                    return
                log.write(data)
                self.written += data

    def output(self, start=0):
        return bytes(self.written[start:]).decode("utf-8", "replace")

    def size(self):
        return len(self.written)

    def ended(self):
        return self.child.poll() is not None

    def say(self, line):
        self.write(line.encode() + b"\n")

    def write(self, data):
        try:
            self.child.stdin.write(data)
            self.child.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which its output and exit code will tell

    def close_input(self):
        try:
            self.child.stdin.close()
        except BrokenPipeError:
            pass

    def wait_for(self, pattern, start=0):
        """Wait until the log matches. A program that ends before that fails the test."""
        expression = re.compile(pattern)

        def found():
            ended = self.ended() and not self.pump.is_alive()
            match = expression.search(self.output(start))
            assert match or not ended, (
                f"{self.argv} ended with {self.child.returncode} without {pattern!r}:\n{self.output()}"
            )
            return match

        return wait_until(found, f"{pattern!r} from {self.argv}")

    def wait(self, patience=PATIENCE):
        """Wait for the end of the program and of its output."""
        self.child.wait(patience)
        self.pump.join(patience)
        return self.child.returncode

    def signal(self, number):
        os.killpg(self.child.pid, number)

    def kill(self):
        self.close_input()
        if not self.ended():
            self.signal(signal.SIGKILL)
        self.wait()
