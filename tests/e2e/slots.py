# SPDX-License-Identifier: Apache-2.0
"""The slots by which processes of a host take turns at watching an agent (store/slot.c)."""

import errno
import socket

from processes import wait_until

COUNT = 32


def names(address):
    digest = 0xCBF29CE484222325
    for byte in f"http://{address}".encode():
        digest = (digest ^ byte) * 0x100000001B3 % 2**64
    return [f"\0consul-provider/{digest:016x}/{place}" for place in range(COUNT)]


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
