# SPDX-License-Identifier: Apache-2.0
"""The log beyond refusals: each event with a real agent, as text and as JSON; the audit; and the sinks."""

import json
import os
import re
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

import nginx
import outages
import slots
import stand_ins
from ca import Authority, TRADITIONAL, key_pem, self_signed
from processes import wait_until
from programs import SHORT_TIMEOUTS, TLS13
from test_log import LINE
from visitors import Visitor

GET = b"GET / HTTP/1.0\r\n\r\n"
SERVED = b"HTTP/1.0 200"
HOUR = 3600


class Log:
    """A log of text or JSON lines."""

    def __init__(self, path, form):
        self.path, self.form = path, form
        self.settings = {"log": path, "log_format": form}

    def texts(self):
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        if self.form == "text":
            found = [re.match(LINE, line) for line in lines]
            assert all(found), lines
            return [match[3] for match in found]
        return [line["message"] for line in self.objects()]

    def objects(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def event(self, event, text, most=1, **fields):
        """Return the first line that says this, of so many at most. Of a JSON line the event and the fields are checked."""
        found = [number for number, line in enumerate(self.texts()) if re.search(text, line)]
        assert 1 <= len(found) <= most, (text, self.path.read_text())
        if self.form == "json":
            line = self.objects()[found[0]]
            assert line["event"] == event and line["time"] and line["pid"] and line["program"], line
            assert {field: line.get(field) for field in fields} == fields, line
            return line
        return self.texts()[found[0]]

    def has(self, text):
        return any(re.search(text, line) for line in self.texts())

    def lacks(self, text):
        assert not self.has(text), self.path.read_text()


@pytest.fixture(params=["text", "json"])
def log(programs, request):
    return Log(programs.path("events"), request.param)


@pytest.fixture
def served(programs, own_agent, log):
    """Start a web server of Connect, and return how a friend's visit ends."""
    def start(env=None, **settings):
        config = programs.config(own_agent, **log.settings, **settings)
        certificate, key = stand_ins.make(programs, "consul:leaf/web")
        server = programs.server("-cert", certificate, "-key", key, "-www", config=config, env=env)
        wait_until(lambda: own_agent.signs("friend"), "a leaf")

        def visit(name="friend"):
            return Visitor(programs.folder, own_agent.leaf(name), name).visit(server.port, GET, SERVED).served

        start.server, start.friend = server, Visitor(programs.folder, own_agent.leaf("friend"), "friend")
        return visit

    return start


def test_the_page_has_each_event():
    """The table of doc/log.md, and the events in the sources."""
    root = Path(__file__).resolve().parents[2]
    sources = "".join(file.read_text() for file in sorted((root / "provider").rglob("*.c")))
    events = set(re.findall(r'(?:\.event = |CONSUL_LOG_[A-Z]+,\s*)"(\w+)"', sources))
    page = (root / "doc" / "log.md").read_text()
    table = page[page.index("| event | level | line |"):].partition("\n\n")[0]
    assert set(re.findall(r"(?m)^\| `(\w+)` \|", table)) == events and len(events) > 10


def test_the_life_of_a_server(own_agent, log, served):
    """Its start, a rotation, the agent's end and return: each is one line."""
    visit = served(on_agent_loss="last-known")
    log.lacks("governing")
    assert visit() and visit()
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True).stdout.split()[1]
    log.event("start", rf'^governing as "web" by a stand-in; agent {own_agent.address}; OpenSSL {version}; '
              r"provider \d+\.\d+\.\d+", service="web", level="info", role="server")

    root = Authority(own_agent.trust_domain, "Next Root")
    own_agent.put("/v1/connect/ca/configuration", {"Provider": "consul", "Config": {
        "PrivateKey": key_pem(root.key, TRADITIONAL), "RootCert": root.pem, "LeafCertTTL": "72h",
        "RotationPeriod": "2160h"}})
    wait_until(lambda: visit() is not None and log.has("leaf renewed") and log.has("roots changed"), "the events")
    leaf = [line for line in log.texts() if "leaf renewed" in line][-1]
    assert re.search(r"^leaf renewed: serial [0-9a-f:]+, valid until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", leaf), leaf
    if log.form == "json":
        line = [line for line in log.objects() if line["event"] == "leaf_renewed"][-1]
        assert line["serial"] in line["message"] and line["valid_until"] in line["message"]
        assert line["service"] == "web" and line["level"] == "info"
        line = [line for line in log.objects() if line["event"] == "roots_changed"][-1]
        assert re.match(r"roots changed: Consul lists \d now$", line["message"])

    wait_until(visit, "a visit after the rotation")
    friend = served.friend
    own_agent.stop()

    def is_told():
        """Each visit is served. The first may be before the loss is noticed, by the verdicts that are known."""
        assert friend.visit(served.server.port, GET, SERVED).served
        return log.has("the agent is lost") and log.has("while the agent is lost")

    wait_until(is_told, "the events of the loss")
    log.event("agent_lost", "^the agent is lost: ", level="warning")
    log.event("last_known", "admitted by their last verdicts while the agent is lost", service="web", level="warning")
    log.lacks("answers again")
    own_agent.launch()
    wait_until(lambda: own_agent.signs("friend"), "a leaf")
    wait_until(lambda: visit() is not None and log.has("answers again"), "its return")
    # A leader that lists its root some moments before it signs is lost again in between.
    log.event("agent_back", "^the agent answers again", most=2, level="info")


def test_a_hung_agent_is_lost(own_agent, log, served):
    visit = served(**SHORT_TIMEOUTS)
    assert visit() and visit()
    with outages.hung(own_agent):
        friend = served.friend
        assert not friend.visit(served.server.port, GET, SERVED).served
        wait_until(lambda: log.has("the agent is lost"), "the line")
    wait_until(visit, "its return")
    log.event("agent_lost", "^the agent is lost: ", level="warning")
    log.event("agent_back", "^the agent answers again", level="info")


@pytest.fixture
def stepped(programs):
    """The environment of a program whose clock is set by writing seconds to its file."""
    clock = programs.module.parents[1] / "tests" / "stepped_clock.so"
    file = programs.write("clock", "0\n")
    preload = " ".join(filter(None, [programs.preload, str(clock)]))
    return file, {"LD_PRELOAD": preload, "STEPPED_CLOCK": str(file)}


def test_a_leaf_near_its_end(own_agent, log, served, stepped):
    """An agent whose clock stands still never renews it."""
    clock, env = stepped
    visit = served(env=env)
    assert visit() and visit()
    log.lacks("the leaf ")
    ends = (  # of 72 hours
        (55, "leaf_last_quarter", "info", "^the leaf is in the last quarter of its life: serial "),
        (71.5, "leaf_last_hour", "warning", "^the leaf ends within the hour"),
        (73, "leaf_expired", "error", "^the leaf has expired, and each handshake is refused"),
    )
    for hours, event, level, text in ends:
        log.lacks(text)
        clock.with_suffix(".new").write_text(f"{int(hours * HOUR)}\n")
        clock.with_suffix(".new").rename(clock)  # at once, as the program reads it all the time
        visits = [visit(), visit()]
        assert (hours < 72) or not any(visits)
        line = log.event(event, text, service="web", level=level)
        assert "valid until" in (line if log.form == "text" else line["message"])
    assert log.has('no leaf to present: the last leaf of "web" expired on '), log.texts()
    assert log.has("check this host's clock"), log.texts()


def test_a_slot_that_is_given_up(own_agent, log, served):
    visit = served()
    for _ in range(3):
        assert visit()
    held = slots.take_all(own_agent.address)
    wait_until(lambda: log.has("too few connections"), "the line")
    log.event("slot_given_up", "^the agent has too few connections for this host", level="info")
    for one in held:
        one.close()


def test_a_refused_client(programs, own_agent, log, served):
    visit = served()
    own_agent.deny("foe", "web")
    assert not visit("foe")
    uri = f"spiffe://{own_agent.trust_domain}/ns/default/dc/dc1/svc/foe"
    line = log.event("peer_refused", f'client refused: "{uri}" may not connect to "web": .*DENY', role="server",
                     service="web", peer=uri, reason="peer denied by Consul", address="127.0.0.1", level="warning")
    assert log.form == "text" or int(line["port"]) > 0


def test_a_peer_of_another_mesh_is_named(programs, own_agent, log, served):
    """By the identity that its certificate claims."""
    served()
    stranger = Authority("22222222-2222-3333-4444-555555555555.consul").service("spy")
    assert not Visitor(programs.folder, stranger, "spy").visit(served.server.port, GET, SERVED).served
    uri = "spiffe://22222222-2222-3333-4444-555555555555.consul/ns/default/dc/dc1/svc/spy"
    log.event("peer_refused", f'client refused: a certificate of "{uri}": ', peer=uri, role="server",
              reason="peer certificate is not trusted by the Consul roots")


def test_a_client_names_the_server(programs, own_agent, log):
    """Another service than the one of the name: with the name, and the identity that was met."""
    wait_until(lambda: own_agent.signs("web"), "a leaf")
    server = programs.connect_server("web", config=programs.config(own_agent))
    config = programs.config(own_agent, service="api", **log.settings)
    outcome = programs.talk(server, TLS13, "-servername", "db.service.consul", config=config)
    assert outcome.refused
    uri = f"spiffe://{own_agent.trust_domain}/ns/default/dc/dc1/svc/web"
    log.event("peer_refused", "^(peer is not the host that was asked for: )?server refused: ", role="client",
              service="api", name="db.service.consul", peer=uri, address="127.0.0.1")
    assert log.form == "json" or log.has(r"name db\.service\.consul, peer 127\.0\.0\.1 port \d+\]$")


def test_the_audit_joins_with_the_access_log(programs, own_agent, log):
    """By address and port; and by the serial, as nginx writes it."""
    access = programs.path("access")
    certificate, key = stand_ins.make(programs, "consul:leaf/web")
    server = nginx.start(programs, certificate, key, ["hello"], programs.config(own_agent, audit="yes", **log.settings),
                         options=f"access_log {access} join;")
    wait_until(lambda: own_agent.signs("friend"), "a leaf")
    visitors = [Visitor(programs.folder, own_agent.leaf(name), name) for name in ("friend", "other")]
    own_agent.deny("foe", "web")
    foe = Visitor(programs.folder, own_agent.leaf("foe"), "foe")
    for visitor in visitors * 2:
        assert visitor.visit(server.ports[0], GET).served
    assert not foe.visit(server.ports[0], GET).served
    wait_until(lambda: len(access.read_text().splitlines()) >= 4, "the access log")
    found = {}
    for line in log.texts():
        match = re.match(r'client admitted: "spiffe://[^"]*/svc/(\w+)" by question, serial ([0-9a-f:]+)', line)
        if match:
            found[len(found)] = match.groups()
    assert [name for name, _ in found.values()] == ["friend", "other"] * 2, log.texts()
    if log.form == "json":
        audit = [line for line in log.objects() if line["event"] == "peer_admitted"]
        assert all(line["verdict"] == "question" and line["service"] == "web" for line in audit)
        joined = {(line["address"], line["port"]): line["serial"].replace(":", "").upper() for line in audit}
    else:
        audit = re.findall(r"by question, serial ([0-9a-f:]+) \[service web, peer (\S+) port (\d+)\]", log.path.read_text())
        joined = {(address, port): serial.replace(":", "").upper() for serial, address, port in audit}
    served = [line.split() for line in access.read_text().splitlines() if not line.endswith(" -")]
    assert {(address, port): serial for address, port, serial in served} == joined


def test_an_audit_by_kept_verdicts(own_agent, log, served):
    """A busy server asks no longer, and says so."""
    visit = served(audit="yes", watch_wait="1s")
    friend = served.friend
    wait_until(lambda: all(friend.visit(served.server.port, GET, SERVED).served for _ in range(10))
               and log.has("by kept verdict, serial"), "a kept verdict")
    assert visit()


def test_an_audit_while_the_agent_is_lost(own_agent, log, served):
    visit = served(audit="yes", on_agent_loss="last-known")
    assert visit()
    own_agent.stop()
    assert served.friend.visit(served.server.port, GET, SERVED).served
    line = log.event("peer_admitted", "^client admitted: .*/svc/friend\" by last-known verdict, serial ", level="info",
                     verdict="last-known verdict", service="web", address="127.0.0.1", role="server")
    assert log.form == "text" or line["serial"] in line["message"]


def test_a_uri_that_is_refused(programs, own_agent, log):
    config = programs.config(own_agent, **log.settings)
    assert programs.storeutl("consul://leaf/web/more", config=config).code != 0
    log.event("uri_refused", "leaf/web/more.*allowed are consul:leaf/<service>", level="warning", reason="invalid consul URI")


def test_lines_that_are_left_out(own_agent, log, served):
    """A crowd without certificates: its lines are counted beyond fifty."""
    served()
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE

    def visit():
        for _ in range(20):
            try:
                with nobody.wrap_socket(socket.create_connection(("127.0.0.1", served.server.port), 20)) as connection:
                    connection.recv(1)
            except OSError:
                pass
        return log.has("more were not written here")

    wait_until(visit, "a count of lines")
    found = [line for line in log.texts() if "more were not written here" in line]
    assert re.match(r"\d+ more were not written here: more than 10 a second, or no room for them", found[0]), found
    if log.form == "json":
        line = next(line for line in log.objects() if "more were not written here" in line["message"])
        assert line["event"] == "lines_left_out" and line["level"] == "warning"


def test_bystanders_are_silent(programs, own_agent, log):
    """Ordinary TLS, and a command that connects once."""
    config = programs.config(own_agent, **log.settings)
    public = programs.server(*self_signed().files(programs.folder, "public"), config=config)
    assert programs.talk(public, config=config).talked
    assert programs.storeutl("consul://roots", "-noout", config=config).code == 0
    wait_until(lambda: own_agent.signs("web"), "a leaf")
    server = programs.connect_server("web", config=programs.config(own_agent))
    once = programs.config(own_agent, service="api", **log.settings)
    assert programs.talk(server, config=once).talked
    assert log.path.read_text() == ""


def test_a_level_leaves_the_lighter_lines_out(own_agent, log, served):
    visit = served(log_level="error")
    own_agent.deny("foe", "web")
    assert visit() and not visit("foe")
    assert log.path.read_text() == ""


def test_wrong_settings(programs, own_agent, log):
    config = programs.config(own_agent, authorize_timeout="soon", **log.settings)
    assert programs.storeutl("consul://roots", config=config).code != 0
    log.event("configuration_refused", 'all TLS of this process is refused: .*authorize_timeout = "soon"',
              level="error", reason="invalid setting")


# ---- where it goes ----


@pytest.fixture
def syslog(programs):
    """The socket of a syslog."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(programs.folder / "syslog"))
    os.chmod(programs.folder / "syslog", 0o666)
    listener.setblocking(False)
    yield listener
    listener.close()


def heard(listener):
    lines = []
    while True:
        try:
            lines.append(listener.recv(8192).decode())
        except BlockingIOError:
            return lines


@pytest.fixture
def unset(programs, own_agent):
    """A configuration that says nothing of a log."""
    file = programs.config(own_agent)
    file.write_text(re.sub(r"(?m)^log = off$", "", file.read_text()))
    return file


def test_it_goes_to_the_syslog_by_default(programs, own_agent, unset, syslog):
    """And to nothing else: without a syslog no line is seen."""
    wait_until(lambda: own_agent.signs("web"), "a leaf")
    for env in (syslog_env(programs, syslog), {}):
        server = programs.connect_server("web", config=unset, env=env)
        assert programs.talk(server).refused
        assert "]: consul: " not in server.output()
    lines = heard(syslog)
    assert len(lines) == 2, lines
    assert re.match(r'<30>openssl\[\d+\]: consul: governing as "web"', lines[0])
    assert re.match(r"<28>openssl\[\d+\]: consul: peer presented no certificate", lines[1])


def syslog_env(programs, listener):
    preload = programs.module.parents[1] / "tests" / "syslog_socket.so"
    return {"LD_PRELOAD": " ".join(filter(None, [programs.preload, str(preload)])),
            "SYSLOG_SOCKET": listener.getsockname()}


def test_a_file_that_cannot_be_written_is_a_refused_setting(programs, own_agent, syslog):
    """No TLS without the log that was asked for; the syslog hears of it."""
    config = programs.config(own_agent, log="/nonexistent/log")
    env = syslog_env(programs, syslog)
    result = programs.openssl("s_server", "-accept", "127.0.0.1:0",
                              *self_signed().files(programs.folder, "dummy"), config=config, env=env)
    said = 'log = "/nonexistent/log": the file cannot be opened to append to it: No such file or directory'
    assert result.code != 0 and said in result.stderr, result
    assert any(line.startswith("<27>") and said in line for line in heard(syslog))
