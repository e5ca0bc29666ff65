# SPDX-License-Identifier: Apache-2.0
"""consul-tls status and metrics: what processes show, through reloads, forks and crashes."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

import endpoints
import nginx
import stand_ins
from applications import postgresql
from conftest import programs_in
from consul_tls import bad, check, good
from processes import Process, wait_until
from programs import TLS13
from visitors import Visitor

GET, SERVED = b"GET / HTTP/1.0\r\n\r\n", b"hello"
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="needs another user")


def boards(programs, *pid):
    """Return the boards of all processes, or of one. Other processes of this host may have some, too."""
    return [one for one in json.loads(good(programs, "status", "--json", *pid)) if not one["other_version"]]


def board(programs, process):
    one, = boards(programs, str(process.child.pid))
    return one


@pytest.fixture
def friend(agent, programs):
    return agent.leaf("friend").files(programs.folder, "friend")


@pytest.fixture
def server(programs, agent, service):
    return programs.server("-nocert", config=programs.config(agent, service=service))


def test_a_server(programs, agent, service, server, friend):
    one = board(programs, server)
    assert (one["program"], one["service"], one["agent"], one["refusal"]) == ("openssl", service, agent.address, "")
    assert one["openssl"].startswith("OpenSSL ") and one["started"].endswith("Z")
    assert (one["admitted_clients"], one["refused"], one["leaves"]) == (0, {}, [])
    assert programs.talk(server, TLS13, *friend).talked
    assert programs.talk(server, TLS13).refused
    agent.deny("friend", service)
    assert programs.talk(server, TLS13, *friend).refused
    one = board(programs, server)
    assert (one["admitted_clients"], one["admitted_servers"]) == (1, 0)
    assert one["refused"] == {"peer presented no certificate": 1, "peer denied by Consul": 1}
    leaf, = one["leaves"]
    assert leaf["id"].endswith(f"/svc/{service}") and leaf["id"] in agent_leaf(agent, service, leaf)


def agent_leaf(agent, service, shown):
    """Return the names of the agent's leaf, which has this serial."""
    leaf = agent.get(f"/v1/agent/connect/ca/leaf/{service}")
    assert int(shown["serial"].replace(":", ""), 16) == int(leaf["SerialNumber"].replace(":", ""), 16)
    assert shown["valid_until"] == leaf["ValidBefore"]
    return leaf["ServiceURI"]


def test_a_client(programs, agent, service, server):
    config = programs.config(agent, service=f"client-{service}")
    argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", f"{service}.service.consul"]
    client = programs.start(Process, argv, config)
    client.wait_for(r"CONNECTED\(")
    wait_until(lambda: board(programs, client)["admitted_servers"] == 1, "an admitted server")
    assert board(programs, client)["leaves"][0]["id"].endswith(f"/svc/client-{service}")
    assert board(programs, server)["admitted_clients"] == 1
    client.close_input()
    client.wait()
    server.wait_for("CONNECTION CLOSED")


def test_text(programs, service, server, friend):
    assert programs.talk(server, TLS13, *friend).talked
    assert programs.talk(server, TLS13).refused
    text = good(programs, "status", str(server.child.pid))
    assert re.match(rf"openssl, process {server.child.pid}\n  since     \S+Z, provider \S+, OpenSSL ", text)
    assert f"  governs   service {service}; agent " in text and "  admitted  1 clients, 1 by question; 0 servers\n" in text
    assert "  refused   1: peer presented no certificate\n" in text
    assert re.search(rf"  leaf      spiffe://\S+/svc/{service}, serial \S+, valid until \S+Z \(\d+ \w+ left\)", text)


def test_metrics(programs, agent, service, server, friend):
    assert programs.talk(server, TLS13, *friend).talked
    assert programs.talk(server, TLS13).refused
    text = good(programs, "metrics")
    family = f'program="openssl",pid="{server.child.pid}"'
    assert f'consul_provider_peers_admitted_total{{{family},peer="client",by="question"}} 1\n' in text
    assert f'consul_provider_peers_admitted_total{{{family},peer="client",by="kept verdict"}} 0\n' in text
    assert f'consul_provider_peers_admitted_total{{{family},peer="server",by=""}} 0\n' in text
    assert f"consul_provider_roots{{{family}}} {len(agent.root_pems)}\n" in text and f"consul_provider_watching_processes{{{family}}} " in text
    assert f'consul_provider_handshakes_refused_total{{{family},reason="peer presented no certificate"}} 1\n' in text
    assert re.search(rf'consul_provider_leaf_expiry_timestamp_seconds{{{family},id="spiffe://\S+/svc/{service}"}} \d+\n',
                     text)
    assert f'consul_provider_info{{{family},service="{service}",version=' in text
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) consul_provider_\w+ .+|consul_provider_\w+(\{(\w+="[^"]*",?)+\})? \d+', line), line
    names = set(re.findall(r"(?m)^(consul_provider_\w+)[ {]", text))
    assert names <= set(re.findall(r"(?m)^# TYPE (\S+) ", text))


def index_of(agent, path):
    """Return the agent's index of a path."""
    with urllib.request.urlopen(agent.url + path, timeout=20) as response:
        return int(response.headers["X-Consul-Index"])


def lanes_of(process):
    return {lane["of"]: lane for lane in process["lanes"]}


def test_the_watch_of_a_quiet_server(programs, own_agent):
    """Two lanes and their indices, the number of roots, and of known verdicts."""
    server = programs.server("-nocert", "-www", config=programs.config(own_agent, service="web"))
    wait_until(lambda: own_agent.signs("friend") and own_agent.signs("foe"), "leaves")
    own_agent.deny("foe", "web")
    friend, foe = (Visitor(programs.folder, own_agent.leaf(name), name) for name in ("friend", "foe"))
    assert friend.visit(server.port, GET, b"HTTP/1.0 200").served
    one = board(programs, server)
    assert one["processes"] == [] and one["roots"] == 1
    assert friend.visit(server.port, GET, b"HTTP/1.0 200").served and not foe.visit(server.port, GET, SERVED).served
    mine = wait_until(lambda: [p for p in board(programs, server)["processes"] if len(p["lanes"]) == 2], "two lanes")
    assert len(mine) == 1 and mine[0]["pid"] == server.child.pid and not mine[0]["busy"]
    assert mine[0]["known_verdicts"] == 2
    lanes = lanes_of(mine[0])
    assert lanes["roots"]["index"] == index_of(own_agent, "/v1/agent/connect/ca/roots") and lanes["roots"]["service"] == ""
    assert lanes["leaf"]["service"] == "web" and lanes["leaf"]["index"] > 0
    assert time.time() - 60 < lanes["leaf"]["answered"] <= time.time()
    text = good(programs, "status", str(server.child.pid))
    assert re.search(rf"(?m)^  process   {server.child.pid}: quiet, 2 known verdicts; roots at index \d+; "
                     r'leaf of "web" at index \d+$', text), text
    assert "\n  roots     1\n" in text
    family = f'program="openssl",pid="{server.child.pid}"'
    metrics = good(programs, "metrics")
    assert f'consul_provider_watch_index{{{family},process="{server.child.pid}",lane="roots",service=""}} ' \
        f'{lanes["roots"]["index"]}\n' in metrics
    assert f"consul_provider_watching_processes{{{family}}} 1\n" in metrics
    assert f"consul_provider_known_verdicts{{{family}}} 2\n" in metrics
    # The end of the agent ends the health of both. A query that is cut off at its begin would look like a crowd.
    wait_until(lambda: all(time.time() - lane["answered"] > 2 for lane in lanes.values()), "queries that wait")
    own_agent.stop()
    wait_until(lambda: [lane["index"] for p in board(programs, server)["processes"] for lane in p["lanes"]] == [0, 0],
               "lanes without an answer")
    assert "; roots without an answer; leaf" in good(programs, "status", str(server.child.pid))
    assert f"consul_provider_watching_processes{{{family}}} 0\n" in good(programs, "metrics")


def busy_ones(programs, server):
    return [p for p in board(programs, server)["processes"] if p["busy"]]


def test_nginx_under_load(programs, own_agent):
    """A busy worker watches intentions, and admits by kept verdicts; a crash ends its place, and not the counts."""
    certificate, key = stand_ins.make(programs, "consul:leaf/web")
    server = nginx.start(programs, certificate, key, ["hello"], programs.config(own_agent, watch_wait="1s"))
    wait_until(lambda: own_agent.signs("friend"), "a leaf")
    friend = Visitor(programs.folder, own_agent.leaf("friend"), "friend")
    visits = []

    def visit(count):
        for _ in range(count):
            visits.append(friend.visit(server.ports[0], GET, SERVED))
            assert visits[-1].served

    def is_watched():
        visit(60)  # enough to be busy, also where a look takes a second
        found = [p for p in busy_ones(programs, server) if lanes_of(p).get("intentions", {}).get("index")]
        return found if board(programs, server)["admitted_by"]["kept verdict"] > 0 else []

    worker, = wait_until(is_watched, "a busy worker that watches intentions")
    assert worker["pid"] in pids_of(server)[1:] and set(lanes_of(worker)) == {"roots", "leaf", "intentions"}
    text = good(programs, "status", str(server.child.pid))
    assert re.search(r"  admitted  \d+ clients, \d+ by question, \d+ by kept verdict; 0 servers\n", text), text
    metrics = good(programs, "metrics")
    family = f'program="nginx",pid="{server.child.pid}"'
    assert re.search(rf'consul_provider_peers_admitted_total{{{family},peer="client",by="kept verdict"}} [1-9]', metrics)
    os.kill(worker["pid"], signal.SIGKILL)
    wait_until(lambda: worker["pid"] not in board(programs, server)["pids"], "the end of the worker")
    assert worker["pid"] not in [p["pid"] for p in board(programs, server)["processes"]]
    visit(2)
    old = pids_of(server)[1:]
    server.signal(signal.SIGHUP)
    wait_until(lambda: len(pids_of(server)) > 1 and not set(old) & set(pids_of(server)), "new workers")
    visit(2)
    one = board(programs, server)
    assert one["admitted_clients"] == sum(one["admitted_by"].values()) == len(visits)
    assert not set(old) & {p["pid"] for p in one["processes"]}
    wait_until(lambda: not busy_ones(programs, server), "a quiet server")
    wait_until(lambda: all("intentions" not in lanes_of(p) for p in board(programs, server)["processes"]),
               "the end of the query for intentions")


def test_a_client_that_lives_long(programs, agent, service):
    """It watches roots and its own leaf, and asks no question."""
    server = programs.server("-nocert", config=programs.config(agent, service=service))
    script = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
for line in sys.stdin:
    with context.wrap_socket(socket.create_connection(("127.0.0.1", int(line)), 20), server_hostname=sys.argv[1]):
        sys.stdout.write("DONE\\n")
        sys.stdout.flush()
"""
    config = programs.config(agent, service=f"client-{service}")
    client = programs.start(Process, ["/usr/bin/python3", "-c", script, f"{service}.service.consul"], config,
                            programs.leaks_allowed())
    for _ in range(3):
        mark = client.size()
        client.say(str(server.port))
        client.wait_for("DONE", mark)
    one = wait_until(lambda: [p for p in board(programs, client)["processes"] if len(p["lanes"]) == 2], "two lanes")[0]
    assert lanes_of(one)["leaf"]["service"] == f"client-{service}" and one["known_verdicts"] == 0
    shown = board(programs, client)
    assert shown["admitted_servers"] == 3 and shown["admitted_clients"] == 0
    everyone = shown["pids"]
    client.signal(signal.SIGKILL)
    client.wait()
    assert not [b for b in boards(programs) if set(everyone) & set(b["pids"])]


def test_a_module_of_another_version(programs, server):
    """Its board cannot be read. The command says so, and reads no byte of it but the version."""
    script = """
import mmap, os, sys
fd = os.memfd_create("consul-provider", 0)
os.write(fd, (0x636f6e73756c0001).to_bytes(8, "little"))
shown = mmap.mmap(fd, 8, prot=mmap.PROT_READ)
print("ready", flush=True)
sys.stdin.read()
"""
    process = programs.start(Process, ["/usr/bin/python3", "-c", script], None, programs.leaks_allowed())
    process.wait_for("ready")
    pid = process.child.pid
    text = good(programs, "status", str(pid))
    assert text == f"python3, process {pid}\n  shows     a board of another version of the provider: start the program again\n"
    shown, = json.loads(good(programs, "status", "--json", str(pid)))
    assert shown == {"pids": [pid], "program": "python3", "other_version": True}
    metrics = good(programs, "metrics")
    assert f'pid="{pid}"' not in metrics and re.search(r"(?m)^consul_provider_other_versions [1-9]\d*$", metrics)


def test_refused_settings(programs, agent):
    """A process that refuses all TLS says so, in status and in check."""
    config = programs.config(agent, servise="web")
    process = programs.start(Process, ["openssl", "s_client", "-connect", "127.0.0.1:1"], config)
    process.wait()
    script = "import ssl, sys; ssl.RAND_status(); print('ready', flush=True); sys.stdin.read()"
    process = programs.start(Process, ["/usr/bin/python3", "-c", script], config, programs.leaks_allowed())
    process.wait_for("ready")
    assert "servise: there is no such setting" in board(programs, process)["refusal"]
    assert "refuses   all TLS: " in good(programs, "status", str(process.child.pid))
    config.write_text(config.read_text().replace("servise", "service"))
    check(programs, config, "--pid", process.child.pid).breaks(
        "process", "refuses all TLS", "servise: there is no such setting", cure="start the program again")


@pytest.mark.parametrize("settings, slip", [({}, "servise"), ({"service": "web"}, "outbuond")])
def test_refused_settings_of_another_file(programs, agent, settings, slip):
    """Such a process says so with its first SSL_CTX. It has loaded a file of its own before the default file."""
    config = programs.config(agent, **settings)
    other = programs.write("other.cnf", f"{config.read_text()}\n{slip} = web\n")
    script = ("import ctypes, sys; ctypes.CDLL('libcrypto.so.3').OSSL_LIB_CTX_load_config(None, sys.argv[1].encode());"
              "import ssl; ssl.create_default_context(); print('ready', flush=True); sys.stdin.read()")
    process = programs.start(Process, ["/usr/bin/python3", "-c", script, other], config, programs.leaks_allowed())
    process.wait_for("ready")
    assert f"{slip}: there is no such setting" in board(programs, process)["refusal"]


def test_a_lost_agent(programs, own_agent, service):
    """The last answer and the loss are shown, and a peer that is admitted all the same."""
    config = programs.config(own_agent, service=service, on_agent_loss="last-known")
    server = programs.server("-nocert", config=config)
    friend = own_agent.leaf("friend").files(programs.folder, "friend")
    assert programs.talk(server, TLS13, *friend).talked
    before = board(programs, server)
    assert time.time() - 20 < before["agent_answered"] <= time.time() and before["agent_lost"] == 0
    assert re.search(r"  agent     answered \d+ seconds? ago\n", good(programs, "status", str(server.child.pid)))
    own_agent.stop()
    assert programs.talk(server, TLS13, *friend).talked
    after = board(programs, server)
    assert after["agent_lost"] >= before["agent_answered"]
    assert after["admitted_by"] == {"question": 1, "kept verdict": 0, "last-known verdict": 1}
    family = f'program="openssl",pid="{server.child.pid}"'
    metrics = good(programs, "metrics")
    lost, = re.findall(rf"\nconsul_provider_agent_last_loss_timestamp_seconds{{{family}}} (\d+)\n", metrics)
    assert int(lost) >= after["agent_lost"]  # a watch has begun, and loses it again
    assert f'consul_provider_peers_admitted_total{{{family},peer="client",by="last-known verdict"}} 1\n' in metrics


def await_end_of_board(programs, pids):
    """Wait until the children of a killed process have ended, too. Their board ends with them."""
    wait_until(lambda: not any(set(pids) & set(one["pids"]) for one in boards(programs)), "the end of the board")


def pids_of(server):
    """Return a server and its children."""
    children = open(f"/proc/{server.child.pid}/task/{server.child.pid}/children").read()
    return [server.child.pid, *map(int, children.split())]


def test_nginx_through_reload_and_crash(programs, agent, service, friend):
    """Count for a master and its workers together, also after workers were replaced or killed."""
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    server = nginx.start(programs, certificate, key, ["hello"], programs.config(agent))
    fetched = []

    def fetch():
        result = programs.openssl("s_client", "-connect", f"127.0.0.1:{server.ports[0]}", "-ign_eof", *friend,
                                  stdin=b"GET / HTTP/1.0\r\n\r\n")
        assert "hello" in result.stdout
        fetched.append(result)

    fetch()
    one = board(programs, server)
    assert one["program"] == "nginx" and one["service"] == "" and one["admitted_clients"] == 1
    listed = [b for b in boards(programs) if server.child.pid in b["pids"]]
    assert len(listed) == 1 and sorted(listed[0]["pids"]) == sorted(pids_of(server))
    workers = pids_of(server)[1:]
    server.signal(signal.SIGHUP)
    wait_until(lambda: not set(workers) & set(pids_of(server)), "new workers")
    fetch()
    for worker in pids_of(server)[1:]:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(pids_of(server)) > 1, "another worker")
    fetch()
    # A reload loads the provider anew in a master that has loaded it before: it is one board still.
    assert board(programs, server)["admitted_clients"] == len(fetched)
    # The places of the dead and the replaced are not shown.
    assert {one["pid"] for one in board(programs, server)["processes"]} <= set(pids_of(server))
    everyone = pids_of(server)
    server.kill()
    await_end_of_board(programs, everyone)


@pytest.mark.applications
def test_postgresql(agent, service, open_folders, module):
    """The child process of each connection counts on the board of the postmaster."""
    with programs_in(open_folders("status"), module) as programs:
        process = postgresql.start(programs, programs.config(agent), *endpoints.stand_in_files(programs, service))
        server = endpoints.Endpoint(postgresql, programs, process, service)
        friend = agent.leaf("friend").files(programs.folder, "friend")
        for _ in range(3):
            assert server.ask(*friend).served
        assert not server.ask().served

        def found():
            return [b for b in boards(programs) if any(leaf["id"].endswith(f"/svc/{service}") for leaf in b["leaves"])]

        wait_until(lambda: not any(b["processes"] for b in found()), "the end of all children, and of a watch in one")
        mine = found()
        assert len(mine) == 1 and mine[0]["admitted_clients"] == 3
        assert mine[0]["refused"] == {"peer presented no certificate": 1}
        assert mine[0]["admitted_by"]["question"] == 3 and mine[0]["roots"] == len(agent.root_pems)
        with ThreadPoolExecutor(8) as pool:
            assert all(answer.served for answer in pool.map(lambda _: server.ask(*friend), range(24)))
        checkpointer = pids_of(process)[1]
        mark = process.size()
        os.kill(process.child.pid, signal.SIGHUP)
        process.wait_for("reloading configuration files", mark)
        assert server.ask(*friend).served
        # A crash of a child ends all other children, and not the board of the postmaster.
        mark = process.size()
        os.kill(checkpointer, signal.SIGKILL)
        process.wait_for("ready to accept connections", mark)
        assert server.ask(*friend).served
        shown = board(programs, process)
        assert shown["admitted_clients"] == 29 and checkpointer not in shown["pids"]
        process.kill()
        await_end_of_board(programs, shown["pids"])


@AS_ROOT
def test_another_user_reads_nothing(programs, server):
    """Only root and the user of the process may."""
    command = programs.module.parents[1] / "cli" / "consul-tls"
    argv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", command, "status", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, env={"PATH": os.environ["PATH"], "OPENSSL_CONF": "/dev/null"})
    if "Permission denied" in done.stderr:
        pytest.skip("another user cannot run the command from here")
    assert done.returncode == 0, done
    assert not [b for b in json.loads(done.stdout) if server.child.pid in b["pids"]]


def test_a_hostile_board(programs):
    """Another program's memory of the same name is printed without its escapes, or not at all."""
    script = """
import ctypes, mmap, os, sys
def show(data):
    fd = os.memfd_create("consul-provider", 0)
    os.write(fd, data)
    return mmap.mmap(fd, len(data), prot=mmap.PROT_READ)
shown = [show(bytes.fromhex(sys.argv[1]) if sys.argv[1] else b"short")]
print("ready", flush=True)
sys.stdin.read()
"""
    magic = (0x636f6e73756c0002).to_bytes(8, "little")
    for content in (b"", magic + b"\x1b]0;" * 5000, b"\xff" * 20000):
        process = programs.start(Process, ["/usr/bin/python3", "-c", script, content.hex()], None, programs.leaks_allowed())
        process.wait_for("ready")
        for command in (["status"], ["status", "--json"], ["metrics"]):
            assert "\x1b" not in good(programs, *command)
        process.kill()


@AS_ROOT
def test_a_file_with_the_name_of_a_board(programs, server):
    """Another user mounts a file system and unmounts it while a file is mapped. The file could keep root waiting."""
    script = """
import ctypes, mmap, os, sys
libc = ctypes.CDLL(None)
folder = sys.argv[1].encode()
assert libc.mount(b"none", folder, b"tmpfs", 0, None) == 0
fd = os.open(folder + b"/memfd:consul-provider (deleted)", os.O_RDWR | os.O_CREAT)
os.write(fd, bytes.fromhex(sys.argv[2]))
shown = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
assert libc.umount2(folder, 2) == 0
print("ready", flush=True)
sys.stdin.read()
"""
    maps = open(f"/proc/{server.child.pid}/maps", encoding="utf-8").read()
    line, = [one for one in maps.splitlines() if one.endswith(" /memfd:consul-provider (deleted)")]
    with open(f"/proc/{server.child.pid}/map_files/{line.split()[0]}", "rb") as file:
        content = file.read()
    folder = programs.path("mounted")
    folder.mkdir()
    argv = ["unshare", "-m", "--propagation", "private", "/usr/bin/python3", "-c", script, folder, content.hex()]
    process = programs.start(Process, argv, None, programs.leaks_allowed())
    process.wait_for("ready")
    with open(f"/proc/{process.child.pid}/maps", encoding="utf-8") as file:
        assert " /memfd:consul-provider (deleted)\n" in file.read()
    assert "has not loaded the provider" in bad(programs, "status", str(process.child.pid))
    shown = [one["pids"] for one in boards(programs)]
    assert [server.child.pid] in shown and not [pids for pids in shown if process.child.pid in pids]


def test_no_board(programs):
    assert "has not loaded the provider" in bad(programs, "status", str(os.getpid()))
    assert "is no number of a process" in bad(programs, "status", "nonsense")
