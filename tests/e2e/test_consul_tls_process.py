# SPDX-License-Identifier: Apache-2.0
"""consul-tls check --connect and --pid: governed listeners and processes, and ungoverned ones."""

import os
import re
import socket
import struct
import subprocess
import threading

import pytest

import nginx
import stand_ins
from agent import free_ports
from ca import self_signed
from consul_tls import check
from processes import Process, wait_until
from programs import TLS12, TLS13

AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
LIBRARIES = ("libssl.so.3", "libcrypto.so.3")


def address(server):
    return f"127.0.0.1:{server.port}"


@pytest.fixture
def governed(programs, agent, service):
    """A server by a stand-in, and its openssl.cnf."""
    config = programs.config(agent, service=service)
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    return programs.server("-cert", certificate, "-key", key, config=config), config


@pytest.fixture
def ordinary(programs):
    """The files of a certificate outside of Connect."""
    return self_signed().files(programs.folder, "ordinary")


# -- the listener --

def test_a_governed_server(programs, service, governed):
    server, config = governed
    chain = check(programs, config, "--connect", address(server), "--pid", server.child.pid).is_good("listener", "process")
    assert f'presents this leaf of "{service}"' in chain.links["listener"][1]
    assert f"maps {programs.module}, with " in chain.links["process"][1]


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=lambda option: option.lstrip("-"))
def test_a_listener_by_configuration(programs, agent, service, version):
    config = programs.config(agent, service=service)
    server = programs.server("-nocert", version, config=config)
    check(programs, config, "--connect", address(server)).is_good("listener")


def test_no_listener(programs, agent, service):
    port, = free_ports(1)
    check(programs, programs.config(agent, service=service), "--connect", f"127.0.0.1:{port}").breaks(
        "listener", "cannot be connected to: Connection refused", cure="start the server")


@pytest.mark.parametrize("where", ["nonsense", "no-such-host.invalid:1"])
def test_no_address(programs, agent, service, where):
    check(programs, programs.config(agent, service=service), "--connect", where).breaks(
        "listener", f"{where} cannot be connected to: ", cure="start the server")


def test_a_server_without_the_provider(programs, agent, service, ordinary):
    server = programs.server(*ordinary)
    chain = check(programs, programs.config(agent, service=service), "--connect", address(server))
    chain.breaks("listener", "presents a certificate outside of Connect", cure="OPENSSL_CONF in its environment")


def test_a_server_that_demands_nothing(programs, agent, service):
    """It has the leaf from a file, and no provider."""
    server = programs.server(*agent.leaf(service).files(programs.folder, "leaf"))
    chain = check(programs, programs.config(agent, service=service), "--connect", address(server))
    chain.breaks("listener", "demands no certificate", cure="OPENSSL_CONF in its environment")


def test_a_server_that_asks_and_admits(programs, agent, service):
    server = programs.server("-verify", "4", *agent.leaf(service).files(programs.folder, "leaf"))
    chain = check(programs, programs.config(agent, service=service), "--connect", address(server))
    chain.breaks("listener", "admits a client without a certificate", cure="OPENSSL_CONF in its environment")


def test_a_listener_that_hangs_up(programs, agent, service):
    """The command outlives a write to a connection that has ended."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def hang_up():
            client, _ = listener.accept()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        address_of = f"127.0.0.1:{listener.getsockname()[1]}"
        check(programs, programs.config(agent, service=service), "--connect", address_of).breaks(
            "listener", "presents no certificate", cure="OPENSSL_CONF in its environment")
        thread.join()


def test_another_service_listens(programs, agent, service, governed):
    server, _ = governed
    config = programs.config(agent, service=f"not-{service}")
    check(programs, config, "--connect", address(server)).breaks(
        "listener", "presents the leaf of another service", f"/svc/{service}", cure="stand-in")


def test_another_mesh_listens(programs, agent, fake, service):
    config = programs.config(fake, service=service)
    server = programs.server("-nocert", config=config)
    check(programs, programs.config(agent, service=service), "--connect", address(server)).breaks(
        "listener", "presents a leaf that does not end at the agent's roots", cure="stand-in")


# -- the process --

def test_a_process_without_the_variable(programs, agent, service, ordinary):
    server = programs.server(*ordinary, env={"OPENSSL_CONF": ""})
    config = programs.config(agent, service=service)
    check(programs, config, "--pid", server.child.pid).breaks(
        "process", f"process {server.child.pid} does not map the module", "its OPENSSL_CONF is",
        cure=f"put OPENSSL_CONF={config} into its environment")


def test_a_process_with_another_file(programs, agent, service, governed, ordinary):
    plain = programs.server(*ordinary)
    config = programs.config(agent, service=service)
    check(programs, config, "--pid", plain.child.pid).breaks(
        "process", "does not map the module: its OPENSSL_CONF is", "plain.cnf", cure="start it again")
    server, own = governed
    check(programs, config, "--pid", server.child.pid).breaks(
        "process", "is governed by another file", cure=f"--config {own}")


def test_a_cleared_environment(programs, agent, service, ordinary):
    argv = ["env", "-i", "/usr/bin/openssl", "s_server", "-accept", "127.0.0.1:0", *ordinary]
    server = programs.start(Process, argv)
    server.wait_for("ACCEPT")
    config = programs.config(agent, service=service)
    check(programs, config, "--pid", server.child.pid).breaks(
        "process", "does not map the module, and its environment was cleared", cure="put OPENSSL_CONF=")


def test_the_file_of_a_process(programs, agent, service, governed):
    """Without --config the check takes the file and the variables of the process."""
    server, config = governed
    chain = check(programs, None, "--pid", server.child.pid).is_good("process")
    assert chain.links["file"][1].startswith(str(config))


def test_the_agent_of_a_process(programs, agent, service):
    """It has the agent's address by a variable, and the command does not."""
    config = programs.config(service=service)
    server = programs.server("-nocert", config=config, env={"CONSUL_HTTP_ADDR": agent.address})
    chain = check(programs, None, "--pid", server.child.pid, env={"CONSUL_HTTP_ADDR": "127.0.0.1:1"})
    chain.is_good("agent", "process")


@AS_ROOT
def test_another_users_process_chooses_no_module(programs, agent, service, open_folders):
    """Root would load it. Neither the file nor a variable of such a process counts."""
    folder = open_folders("check")
    source, module = folder / "evil.c", folder / "consul.so"
    source.write_text('#include <stdlib.h>\n__attribute__((constructor)) static void run(void)\n'
                      f'{{ system("touch {folder}/executed"); }}\nint OSSL_provider_init(void) {{ return 0; }}\n')
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", module, source], check=True)
    config = folder / "openssl.cnf"
    config.write_text(programs.config(agent, service=service).read_text().replace(str(programs.module), str(module)))
    env = {"OPENSSL_CONF": str(config), "CONSUL_HTTP_ADDR": "127.0.0.1:1"}
    process = programs.start(Process, ["setpriv", "--reuid", "65534", "--clear-groups", "sleep", "60"], env=env)
    wait_until(lambda: open(f"/proc/{process.child.pid}/comm").read() == "sleep\n", "sleep")
    chain = check(programs, None, "--pid", process.child.pid, env={"OPENSSL_CONF": "/nowhere.cnf"})
    assert "there is no file /nowhere.cnf" in chain.broken["file"]
    own = programs.config(service=service)
    chain = check(programs, own, "--pid", process.child.pid, env={"CONSUL_HTTP_ADDR": agent.address})
    assert chain.links["agent"][0] == "ok" and list(chain.broken) == ["process"]
    os.chown(config, 65534, 65534)
    check(programs, config).breaks("file", "belongs to the user 65534", "load any module", cure="as that user")
    assert not (folder / "executed").exists()


def test_a_worker_of_nginx(programs, agent, service):
    """nginx clears the environment of its workers, and they are governed."""
    config = programs.config(agent)
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    server = nginx.start(programs, certificate, key, ["hello"], config)
    worker = int(re.search(r"start worker process (\d+)", server.output())[1])
    check(programs, config, "--service", service, "--pid", worker, "--connect", f"127.0.0.1:{server.ports[0]}").is_good(
        "listener", "process")


def test_a_bundled_openssl(programs, agent, service, ordinary):
    """A copy of OpenSSL under names of its own, as a Python wheel has it."""
    folder = programs.folder / "bundle"
    folder.mkdir()
    listed = subprocess.run(["ldd", "/usr/bin/openssl"], capture_output=True, text=True, check=True).stdout
    paths = {name: re.search(rf"{name} => (\S+)", listed)[1] for name in LIBRARIES}
    for name, path in {**paths, "openssl": "/usr/bin/openssl"}.items():
        content = open(path, "rb").read()
        for library in LIBRARIES:
            content = content.replace(library.encode(), library.replace(".so.3", ".so.9").encode())
        (folder / name.replace(".so.3", ".so.9")).write_bytes(content)
    (folder / "openssl").chmod(0o755)
    argv = [folder / "openssl", "s_server", "-accept", "127.0.0.1:0", *ordinary]
    server = programs.start(Process, argv, env={"LD_LIBRARY_PATH": str(folder)})
    server.wait_for("ACCEPT")
    check(programs, programs.config(agent, service=service), "--pid", server.child.pid).breaks(
        "process", "has a bundled OpenSSL", f"{folder}/libcrypto.so.9", cure="the system's libssl and libcrypto")


def test_a_second_copy_of_the_module(programs, agent, service):
    """The program's own file activates the provider from another path than the default file."""
    copy = programs.folder / "consul.so"
    copy.write_bytes(programs.module.read_bytes())
    config = programs.config(agent, service=service)
    script = ("import ctypes, sys; ctypes.CDLL(sys.argv[1]); import ssl; ssl.create_default_context();"
              "print('ready', flush=True); sys.stdin.read()")
    process = programs.start(Process, ["/usr/bin/python3", "-c", script, copy], config, programs.leaks_allowed())
    process.wait_for("ready")
    check(programs, config, "--pid", process.child.pid).breaks(
        "process", "maps a second copy of the module", str(copy), str(programs.module), cure="one path")


def test_a_module_that_was_replaced(programs, agent, service):
    copy = programs.folder / "consul.so"
    copy.write_bytes(programs.module.read_bytes())
    config = programs.config(agent, service=service)
    config.write_text(config.read_text().replace(str(programs.module), str(copy)))
    server = programs.server("-nocert", config=config)
    copy.unlink()
    copy.write_bytes(programs.module.read_bytes())
    check(programs, config, "--pid", server.child.pid).breaks(
        "process", "maps a module that was replaced", cure="start the program again")


def test_a_process_without_openssl(programs, agent, service):
    process = programs.start(Process, ["sleep", "60"])
    wait_until(lambda: open(f"/proc/{process.child.pid}/comm").read() == "sleep\n", "sleep")
    check(programs, programs.config(agent, service=service), "--pid", process.child.pid).breaks(
        "process", "maps no OpenSSL", "sleep", cure="the shared OpenSSL")


def test_a_static_openssl(programs, agent, service):
    """A program without libcrypto, with the words of an OpenSSL inside."""
    folder = programs.folder / "static"
    folder.mkdir()
    (folder / "sleep").write_bytes(open("/usr/bin/sleep", "rb").read() + b"OpenSSL 3.0.19 27 Jan 2026\0")
    (folder / "sleep").chmod(0o755)
    process = programs.start(Process, [folder / "sleep", "60"])
    wait_until(lambda: open(f"/proc/{process.child.pid}/comm").read() == "sleep\n", "sleep")
    check(programs, programs.config(agent, service=service), "--pid", process.child.pid).breaks(
        "process", f"has an OpenSSL of its own inside {folder}/sleep", cure="the shared OpenSSL")


def test_a_file_that_shrinks(programs, agent, service):
    """Its process maps it, and makes it short and long in turns. The command outlives that."""
    script = """
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o700)
size = 64 << 20
os.truncate(fd, size)
shown = mmap.mmap(fd, size, prot=mmap.PROT_READ | mmap.PROT_EXEC)
print("ready", flush=True)
while True:
    os.truncate(fd, 0)
    os.truncate(fd, size)
"""
    process = programs.start(Process, ["/usr/bin/python3", "-c", script, programs.folder / "file"])
    process.wait_for("ready")
    config = programs.config(agent, service=service)
    for _ in range(5):
        chain = check(programs, config, "--pid", process.child.pid)
        assert list(chain.broken) == ["process"]


def test_a_mark_between_two_parts(programs, agent, service):
    """A file is read in parts. The name of the module counts where a part ends within it."""
    folder = programs.folder / "parts"
    folder.mkdir()
    for number, start in enumerate((65536 - 5, 2 * 65536 - 40, 100_000)):
        file = folder / f"{number}"
        file.write_bytes(b"\0" * start + b"OpenSSL 3.0.19 27 Jan 2026\0" + b"\0" * 70_000)
        script = folder / f"sleep-{number}"
        script.write_bytes(open("/usr/bin/sleep", "rb").read())
        content = script.read_bytes()
        script.write_bytes(content + b"\0" * (-len(content) % 65536) + file.read_bytes())
        script.chmod(0o755)
        process = programs.start(Process, [script, "60"])
        wait_until(lambda: open(f"/proc/{process.child.pid}/comm").read() == f"sleep-{number}\n", "sleep")
        check(programs, programs.config(agent, service=service), "--pid", process.child.pid).breaks(
            "process", f"has an OpenSSL of its own inside {script}", cure="the shared OpenSSL")


@pytest.mark.parametrize("pid", ["0", "nonsense", "99999999"])
def test_no_process(programs, agent, service, pid):
    check(programs, programs.config(agent, service=service), "--pid", pid).breaks(
        "process", f"process {pid} cannot be read", cure="number of a process")
