# SPDX-License-Identifier: Apache-2.0
"""The memory of a live server has neither a token nor a private key that it no longer needs."""

import re
import resource
import signal
import struct

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import stand_ins
from ca import TRADITIONAL, ec_key
from fake_agent import LEAF
from processes import wait_until
from programs import PYTHON, Server
from test_processes import SCRIPT
from tls_agent import TlsAgent
from visitors import Visitor

pytestmark = pytest.mark.applications  # the memory of a sanitizer is too large to be read

TOKEN = "7f3c61aa-53cd-4d1a-9a36-5a7a3ce4cf0d"
KEY_AS_SENT = b"BEGIN EC PRIVATE KEY"  # by an agent; a stand-in's key has other words
NUMBER = "number as libcrypto has it"
PT_LOAD = 1  # a part of a core dump that is memory, elf(5)


def memory(pid):
    """Return all that a process can write: its data, heaps and stacks."""
    found = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as file:
        for line in maps:
            start, end, allowed = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if allowed.startswith("rw"):
                file.seek(int(start, 16))
                found.append(file.read(int(end, 16) - int(start, 16)))
    return b"\n".join(found)


def core_dump(programs, server):
    """
    End a server with a core dump, and return the memory in it. Skip where the host's kernel hands it on.

    The notes of the dump are left out. They have the processor's registers, and vector registers keep the last text.
    """
    with open("/proc/sys/kernel/core_pattern") as file:
        pattern = file.read().strip()
    if not re.fullmatch(r"[\w.%-]+", pattern):
        pytest.skip(f"the host takes core dumps to {pattern}")
    resource.prlimit(server.child.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    server.signal(signal.SIGABRT)
    programs.started.remove(server)  # it ends by a signal
    assert server.wait() == -signal.SIGABRT
    dumps = [file.read_bytes() for file in programs.folder.iterdir() if file.is_file()]
    dump, = [one for one in dumps if one.startswith(b"\x7fELF")]
    first, = struct.unpack_from("<Q", dump, 32)
    size, count = struct.unpack_from("<HH", dump, 54)
    parts = [struct.unpack_from("<IIQQQQ", dump, first + i * size) for i in range(count)]
    return b"\n".join(dump[offset:offset + length] for kind, _, offset, _, _, length in parts if kind == PT_LOAD)


def forms(pem):
    """Return the forms in which a private key may lie in memory."""
    number = load_pem_private_key(pem.encode(), None).private_numbers().private_value.to_bytes(32, "big")
    lines = {f"line {i}": line.encode() for i, line in enumerate(pem.splitlines()[1:-1])}
    return {NUMBER: number[::-1], "number in DER": number, **lines}


def held(server, of):
    """Return the forms that the server has in its memory."""
    everything = memory(server.child.pid)
    return {name for name, form in of.items() if form in everything}


def serve(programs, open_folders, service, agent, **settings):
    config = programs.config(agent, token_file=programs.write("token", TOKEN), **settings)
    identity = stand_ins.make(programs, f"consul:leaf/{service}")
    return programs.start(Server, [PYTHON, SCRIPT, "one", *identity, open_folders("empty")], config,
                          programs.leaks_allowed()).ready()


def settled(server, expected, of):
    """Wait until the server holds no more than that: a request may be on its way."""
    assert wait_until(lambda: held(server, of) <= expected, "the end of a request"), held(server, of)


@pytest.mark.parametrize("watches", [False, True], ids=["asks", "watches"])
def test_a_key_after_its_leaf(programs, fake, open_folders, watches):
    fake.watchable = watches
    server = serve(programs, open_folders, "web", fake)
    friend = Visitor(programs.folder, fake.authority.service("friend"), "friend")
    assert all(friend.visit(server.port).served for _ in range(5))
    old = forms(fake.leaves["web"].key)
    settled(server, {NUMBER}, old)
    assert NUMBER in held(server, old)  # it is found where it lies
    fake.leaves["web"] = fake.authority.service("web", key=ec_key(), form=TRADITIONAL)
    new = forms(fake.leaves["web"].key)
    fake.change(LEAF)
    wait_until(lambda: friend.visit(server.port).served and NUMBER in held(server, new), "the new leaf")
    settled(server, {NUMBER}, new)
    settled(server, set(), old)


@pytest.fixture(scope="module")
def https_agent(tmp_path_factory):
    one = TlsAgent(tmp_path_factory.mktemp("tls") / "agent")
    one.wait_for_roots()
    yield one
    one.stop()


@pytest.mark.parametrize("over", ["agent", "https_agent"])
def test_what_a_real_agent_is_told_and_tells(programs, request, open_folders, service, over):
    """After its first handshake, a server watches nothing yet. A request under way has the token."""
    agent = request.getfixturevalue(over)
    settings = agent.settings() if over == "https_agent" else {"address": agent.address}
    server = serve(programs, open_folders, service, None, **settings)
    friend = Visitor(programs.folder, agent.leaf(f"friend-{service}"), "friend")
    assert friend.visit(server.port).served
    settled(server, set(), {"token": TOKEN.encode(), "key": KEY_AS_SENT})
    server.leave()


def test_a_token_in_the_file_is_found(programs, fake, open_folders):
    """So the tests above can fail."""
    server = serve(programs, open_folders, "web", fake, token=TOKEN)
    assert held(server, {"token": TOKEN.encode()})


@pytest.mark.parametrize("watches", [False, True], ids=["asks", "watches"])
def test_a_core_dump(programs, open_folders, fake, watches):
    """
    It has the present key as libcrypto has it, but no text of a key. A watch always has a request under way, and so the
    token of the file.
    """
    fake.watchable = watches
    server = serve(programs, open_folders, "web", fake)
    friend = Visitor(programs.folder, fake.authority.service("friend"), "friend")
    assert all(friend.visit(server.port).served for _ in range(5))
    secrets = {"token": TOKEN.encode(), **forms(fake.leaves["web"].key)}
    expected = {NUMBER, "token"} if watches else {NUMBER}
    settled(server, expected, secrets)
    dump = core_dump(programs, server)
    assert {name for name, form in secrets.items() if form in dump} == expected
