# SPDX-License-Identifier: Apache-2.0
"""The slots by which processes of a host take turns at watching an agent (store/agent/slot.c)."""

import errno
import os
import socket
from contextlib import suppress

from processes import wait_until

COUNT = 32


def names(address):
    digest = 0xCBF29CE484222325
    for byte in f"http://{address}".encode():
        digest = (digest ^ byte) * 0x100000001B3 % 2**64
    return [f"\0consul-provider/{digest:016x}/{place}" for place in range(COUNT)]


def is_held_by(pid, address):
    """Return true where a process has a slot, and so watches the agent. A thread alone may only ask ahead or probe."""
    slots = {name.replace("\0", "@") for name in names(address)}
    with open("/proc/net/unix") as file:
        inodes = {fields[6] for fields in map(str.split, file) if len(fields) == 8 and fields[7] in slots}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/{pid}/fd/{fd}").removeprefix("socket:[").removesuffix("]") in inodes:
                return True
    return False


def take_all(address):
    """Ask the owners for taken slots, and return the sockets that hold all of them."""
    return [take(name) for name in names(address)]


def take(name):
    one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def taken():
        try:
            one.bind(name)
            return True
        except OSError as error:
            assert error.errno == errno.EADDRINUSE
        try:
            one.sendto(b"x", name)
        except ConnectionRefusedError:
            pass  # its owner has gone in between
        return False

    wait_until(taken, "a slot")
    return one
