# SPDX-License-Identifier: Apache-2.0
"""doc/peers.md: unmodified applications show their peer, have rules for it, and their access logs join with the audit."""

import http.server
import json
import re
import socket
import ssl
import threading
import urllib.parse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

import applications
import endpoints
import newcomer
import nginx as nginx_alone
import stand_ins
from agent import free_ports
from applications import apache, documented, haproxy, nginx, postgresql, python_ssl
from applications.common import launch
from ca import Authority, service_uri
from conftest import programs_in
from processes import Process, wait_until
from programs import PYTHON, VERSIONS
from visitors import PATIENCE

pytestmark = [pytest.mark.applications, pytest.mark.consul]

PAGE = "doc/peers.md"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PLACEHOLDER = "11111111-2222-3333-4444-555555555555.consul"
FORGED = "spiffe://forged/ns/default/dc/dc1/svc/api"


def recipe(language, values, number=0):
    """Return a block of the page, with the values of its example replaced by these."""
    text = newcomer.blocks(PAGE, language)[number]
    for example, value in values.items():
        assert example in text, f"{PAGE} does not have {example!r}"
        text = text.replace(example, str(value))
    return text


class Echo(http.server.BaseHTTPRequestHandler):
    """A backend that answers with the headers about its peer."""

    def do_GET(self):
        # CGI and WSGI take both names for one.
        found = self.headers.get_all("X-Connect-Peer", []) + self.headers.get_all("X_Connect_Peer", [])
        body = ",".join(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def echo():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


# The fields of doc/log.md in each access log, in its order. The first ones name the connection, where there is a colon.
LAYOUT = {
    "nginx": ["address", "port", "local_port", "serial", "fingerprint"],
    "apache": ["", "", "", "serial"],
    "haproxy": ["", "", "", "serial", "fingerprint", "client_random"],
    "python": ["address", "port", "local_port", "serial"],
}


@dataclass
class Web:
    """A server that runs, its log, and the text of its access log."""

    name: str
    process: Any
    ports: list
    text: Callable
    log: Any = None
    service: str = ""
    programs: Any = None

    def accesses(self):
        """Return the facts of each line of the access log, as far as they are in the audit, too."""
        found = []
        for values, peer in re.findall(r'(?m)^((?:[^\s"]+ )+)"([^"]*)" "', self.text()):
            facts = dict(zip(LAYOUT[self.name], values.split()), peer=peer)
            facts.pop("", None)
            found.append(normal(facts))
        return found

    def audit(self):
        lines = [json.loads(line) for line in self.log.text().splitlines()]
        fields = [*filter(None, LAYOUT[self.name]), "peer"]
        return [normal({name: line[name] for name in fields}) for line in lines if line["event"] == "peer_admitted"]


def normal(facts):
    """Return the facts as a value that can be counted. Programs differ in colons and in the case of digits."""
    facts["serial"] = int(facts["serial"].replace(":", ""), 16)
    return tuple(sorted((name, value if name == "serial" else value.lower()) for name, value in facts.items()))


def start_nginx(programs, agent, config, certificate, key, echo):
    access, ports = programs.path("access"), []

    def make(folder, port):
        ports[:] = [port, *free_ports(1)]
        text = documented("nginx/web.conf", {
            "listen 8443 ssl;": f"listen 127.0.0.1:{port} ssl; listen 127.0.0.1:{ports[1]} ssl;",
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
            "root /var/www/html;": f"location / {{ proxy_pass http://127.0.0.1:{echo}; }}\n"
                                   "    location /certificate { return 200 $ssl_client_escaped_cert; }\n"
                                   "    location /write { if ($may_write = 0) { return 403; } "
                                   f"proxy_pass http://127.0.0.1:{echo}; }}",
        })
        more = recipe("nginx", {
            "/etc/nginx/peer.js": EXAMPLES / "peer.js",
            "/var/log/nginx/connect.log": access,
        })
        argv = nginx.command(folder, text, more)
        file = folder / "nginx.conf"
        file.write_text("load_module /usr/lib/nginx/modules/ngx_http_js_module.so;\n" + file.read_text())
        return argv

    process = launch(programs, config, make, nginx.READY)
    return Web("nginx", process, ports, access.read_text)


def start_apache(programs, agent, config, certificate, key, echo):
    access = programs.path("access")
    modules = ["mpm_event", "authz_core", "headers", "lua", "proxy", "proxy_http", "ssl"]

    def make(folder, port):
        more = "\n".join([
            recipe("apache", {"/var/log/apache2/connect.log": access, "/etc/apache2/peer.lua": EXAMPLES / "peer.lua"}),
            recipe("apache", {PLACEHOLDER: agent.trust_domain}, 1),
            f"ProxyPass / http://127.0.0.1:{echo}/",
        ])
        return apache.command(folder, documented("apache/web.conf", {
            "Listen 8443": f"Listen 127.0.0.1:{port}",
            "*:8443": f"*:{port}",
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
            "DocumentRoot /var/www/html": more,
        }), modules)

    process = launch(programs, config, make, apache.READY)
    return Web("apache", process, [process.port], access.read_text)


def start_haproxy(programs, agent, config, certificate, key, echo):
    def make(folder, port):
        both = folder / "haproxy.pem"
        both.write_text(Path(certificate).read_text() + Path(key).read_text())
        more = recipe("haproxy", {"/etc/haproxy/peer.lua": EXAMPLES / "peer.lua"})
        begin, lines = more.split("frontend web\n")
        return haproxy.command(folder, begin + documented("haproxy/haproxy.cfg", {
            "bind :8443": f"bind 127.0.0.1:{port}",
            "/etc/consul-provider/haproxy.pem": both,
            "    default_backend": lines + "    default_backend",
            "127.0.0.1:8080": f"127.0.0.1:{echo}",
        }))

    process = launch(programs, config, make, haproxy.READY)
    return Web("haproxy", process, [process.port], lambda: re.sub(r"(?m)^.*?haproxy\[\d+\]: ", "", process.output()))


PROGRAM = """\
class Show(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        shown = peer(self.connection)
        self.send_response(403 if self.path == "/write" and not shown.endswith("/svc/api") else 200)
        self.end_headers()
        self.wfile.write(shown.encode())
        serial = self.connection.getpeercert()["serialNumber"]
        line = (*self.client_address, self.server.server_port, serial, f'"{shown}" "{self.requestline}"')
        print(" ".join(map(str, line)) + "\\n", end="", flush=True)

    def log_message(self, *_):
        pass
"""


def start_python(programs, agent, config, certificate, key, echo):
    script = documented("python_ssl/server.py", {
        '"", 8443': '"127.0.0.1", 0',
        "/etc/consul-provider/web.pem": certificate,
        "/etc/consul-provider/web.key": key,
        ", Hello)": ", Show)",
    })
    before, made, after = script.partition("server = ")
    script = before + recipe("python", {}) + "\n\n" + PROGRAM + "\n\n" + made + after
    process = programs.start(Process, [PYTHON, programs.write("server.py", script)], config, programs.leaks_allowed())
    port = int(process.wait_for(r"listening on port (\d+)").group(1))
    return Web("python", process, [port], process.output)


@pytest.fixture(scope="module", params=[start_nginx, start_apache, start_haproxy, start_python],
                ids=lambda start: start.__name__[6:])
def web(request, open_folders, module, agent, echo):
    with programs_in(open_folders("peers"), module) as programs:
        service = f"peers-{request.param.__name__[6:]}"
        log = endpoints.Log(programs.path("connect.log"))
        config = programs.config(agent, log=log.path, log_format="json", audit="yes")
        one = request.param(programs, agent, config, *endpoints.stand_in_files(programs, service), echo)
        one.log, one.service, one.programs = log, service, programs
        yield one


def context_of(web, identity, name):
    _, certificate, _, key, *chain = identity.files(web.programs.folder, name)
    if chain:
        whole = web.programs.write(f"{name}.pem", identity.certificate + identity.intermediates)
        certificate = str(whole)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(certificate, key)
    return context


def ask(web, context, path="/", port=None, source=0):
    """Make one request with forged headers. Return the status and the text of the answer, or 0 without an answer."""
    try:
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        plain.settimeout(PATIENCE)
        plain.bind(("127.0.0.1", source))
        plain.connect(("127.0.0.1", port or web.ports[0]))
        with context.wrap_socket(plain) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nX-Connect-Peer: {FORGED}\r\nX_Connect_Peer: {FORGED}\r\n\r\n".encode())
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
    except OSError:
        return 0, ""
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


def test_the_peer_is_shown_and_ruled(web, agent):
    for name, status in (("api", 200), ("report", 403)):
        agent.allow(name, web.service)
        context = context_of(web, agent.leaf(name), name)
        assert ask(web, context) == (200, service_uri(agent.trust_domain, name))
        assert ask(web, context, "/write")[0] == status


@pytest.mark.parametrize("web", [start_nginx], indirect=True, ids=["nginx"])
def test_nginx_has_the_whole_certificate(web, agent):
    agent.allow("api", web.service)
    leaf = agent.leaf("api")
    status, shown = ask(web, context_of(web, leaf, "api"), "/certificate")
    assert status == 200 and urllib.parse.unquote(shown).strip() == leaf.certificate.strip()


@pytest.mark.parametrize("names", [
    "x, URI:{}", "URI:{}", "URI:{}, DNS:x", "x\nURI:{}", "\x06\x03U\x1d\x11\x04\x40{}"], ids=range(5))
def test_another_name_is_not_the_peer(web, agent, names):
    """A leaf of another service has a DNS name that looks like the URI of one that may."""
    uri = service_uri(agent.trust_domain, "api")
    agent.allow("report", web.service)
    context = context_of(web, agent.authority.service("report", dns=[names.format(uri)]), "named")
    status, shown = ask(web, context)
    assert (status, shown) == (0, "") or shown in ("", "(null)", service_uri(agent.trust_domain, "report"))
    assert ask(web, context, "/write")[0] != 200


def test_the_audit_joins_with_the_access_log(web, agent):
    """Clients at the same time, some from one port to two ports of the server: each line has its partner."""
    names = ["api", "report", "batch"]
    for name in names:
        agent.allow(name, web.service)
    contexts = {name: context_of(web, agent.leaf(name), name) for name in names}
    before = len(web.audit())
    sources = free_ports(12)

    def visit(number):
        name = names[number % len(names)]
        return [ask(web, contexts[name], port=port, source=sources[number]) for port in web.ports]

    with ThreadPoolExecutor(6) as pool:
        outcomes = [outcome for some in pool.map(visit, range(len(sources))) for outcome in some]
    assert [status for status, _ in outcomes] == len(sources) * len(web.ports) * [200]
    whole = len(web.audit())
    assert whole - before == len(outcomes)
    wait_until(lambda: len(web.accesses()) >= whole, "the access log")
    assert Counter(web.accesses()) == Counter(web.audit())
    if web.name != "apache":  # it names no connection that the provider can name, too
        assert len(set(web.audit()[before:])) == whole - before  # an earlier port may come again


def test_a_balancer_and_more_requests(programs, agent, service):
    """By the PROXY protocol nginx knows another address. Each request of a connection joins with its line."""
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    access, log = programs.path("access"), endpoints.Log(programs.path("connect.log"))
    server = nginx_alone.start(
        programs, certificate, key, ["hello"], programs.config(agent, log=log.path, log_format="json", audit="yes"),
        listen="ssl proxy_protocol", options=f"set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol; "
                                             f"access_log {access} behind;")
    agent.allow("api", service)
    leaf = agent.leaf("api").files(programs.folder, "api")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(leaf[1], leaf[3])
    with socket.create_connection(("127.0.0.1", server.ports[0]), PATIENCE) as plain:
        port = plain.getsockname()[1]
        plain.sendall(b"PROXY TCP4 192.0.2.9 192.0.2.1 4711 8443\r\n")
        with context.wrap_socket(plain) as connection:
            for _ in range(2):
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"hello" in connection.recv(4096)
    wait_until(lambda: len(access.read_text().splitlines()) == 2, "the access log")
    assert set(access.read_text().splitlines()) == {f"192.0.2.9 4711 127.0.0.1 {port}"}
    line, = [json.loads(line) for line in log.text().splitlines() if "peer_admitted" in line]
    assert (line["address"], line["port"]) == ("127.0.0.1", str(port))


@pytest.mark.parametrize("version", VERSIONS, ids=lambda option: option.lstrip("-"))
def test_no_authority_of_the_application_is_named(programs, agent, service, version):
    """A client of Go or Java sends no certificate that is not of an authority in the server's list."""
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    former = programs.write("former.pem", Authority("former.example", "Former CA").pem)
    server = nginx_alone.start(programs, certificate, key, ["hello"], programs.config(agent),
                               options=f"ssl_client_certificate {former}; ssl_verify_client on;")
    agent.allow("api", service)
    leaf = agent.leaf("api").files(programs.folder, "api")
    asked = programs.openssl("s_client", "-connect", f"127.0.0.1:{server.ports[0]}", version, "-ign_eof", *leaf,
                             stdin=b"GET / HTTP/1.0\r\n\r\n")
    assert "hello" in asked.stdout and "No client certificate CA names sent" in asked.stdout, asked


@pytest.mark.parametrize("web", [start_haproxy], indirect=True, ids=["haproxy"])
def test_a_refused_client_has_an_address(web, agent):
    """HAProxy's log joins with the refusal by the random number of the client."""
    agent.deny("foe", web.service)
    mark = web.log.size()
    source, = free_ports(1)
    assert ask(web, context_of(web, agent.leaf("foe"), "foe"), source=source) == (0, "")
    refused, = [json.loads(line) for line in web.log.text()[mark:].splitlines() if "peer_refused" in line]
    assert refused["peer"].endswith("/svc/foe") and "address" not in refused
    web.process.wait_for(rf"127\.0\.0\.1 {source} refused {refused['client_random'].upper()} ")


class Database:
    """A PostgreSQL, and a psql that has a leaf and no provider."""

    def __init__(self, programs, agent, service, more="", **options):
        self.programs, self.agent = programs, agent
        self.log = endpoints.Log(programs.path("connect.log"))
        config = programs.config(agent, log=self.log.path, log_format="json", audit="yes")
        certificate, key = endpoints.stand_in_files(programs, service)
        if options:
            options["ca"] = certificate
        more += "log_line_prefix = '%r '\nlog_connections = on\n"
        self.process = postgresql.start(programs, config, certificate, key, more=more, **options)

    def query(self, identity, text, user=postgresql.USER):
        _, certificate, _, key, *_ = identity.files(self.programs.folder, "client")
        return self.programs.run(
            ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--command", text],
            env={"PGHOST": "127.0.0.1", "PGPORT": str(self.process.port), "PGUSER": user, "PGSSLMODE": "require",
                 "PGDATABASE": "postgres", "PGSSLCERT": certificate, "PGSSLKEY": key,
                 "PGPASSWORD": postgresql.PASSWORD})


@pytest.fixture
def database(open_folders, module, agent):
    if not applications.can_run(postgresql):
        pytest.skip("does not start with the sanitizer")
    with programs_in(open_folders("peers"), module) as programs:
        yield lambda service, **options: Database(programs, agent, service, **options)


def test_postgresql_shows_the_peer(database, agent, service):
    """It does by sslinfo; pg_stat_activity joins with the audit by address and port."""
    one = database(service)
    agent.allow("api", service)
    leaf = agent.leaf("api")
    made = one.query(leaf, recipe("sql", {}))
    assert made.code == 0, made
    shown = one.query(leaf, "SELECT host(client_addr), client_port, serial, peer, role FROM connect_session").stdout.strip()
    line = [json.loads(line) for line in one.log.text().splitlines() if "peer_admitted" in line][-1]
    assert shown.split("|") == [line["address"], line["port"], str(leaf.x509.serial_number),
                                service_uri(agent.trust_domain, "api"), postgresql.USER]
    assert line["local_port"] == str(one.process.port)
    one.process.wait_for(rf"127\.0\.0\.1\({line['port']}\) LOG:  connection authorized")
    known = one.query(leaf, "SELECT client_serial FROM pg_stat_ssl WHERE pid = pg_backend_pid()").stdout.strip()
    assert known == str(leaf.x509.serial_number)
    named = agent.authority.service("report", dns=["x, URI:" + service_uri(agent.trust_domain, "api")])
    agent.allow("report", service)
    assert one.query(named, "SELECT connect_peer()").stdout.strip() == ""


def test_postgresql_and_the_role_by_the_certificate(database, programs, agent, service):
    """The service is the role with Consul 1.8. A leaf without a subject is no role."""
    ident = programs.write("pg_ident.conf", recipe("conf", {}, 1))
    ident.chmod(0o644)
    method = recipe("conf", {}).partition("all all all ")[2].strip()
    with_passwords = database(f"p-{service}", method="scram-sha-256 clientcert=verify-ca")
    by_role = database(service, method=method, more=f"ident_file = '{ident}'\n")
    for name in ("api", "postgres"):
        agent.allow(name, service)
        agent.allow(name, f"p-{service}")
    leaf, administrator = agent.leaf("api"), agent.leaf("postgres")
    assert with_passwords.query(leaf, "SELECT 'in'").stdout == "in\n"
    wrong = by_role.query(leaf, "SELECT 'in'")  # api is not the role postgres
    assert wrong.code != 0 and "certificate authentication failed" in wrong.stderr, wrong
    right = by_role.query(administrator, "SELECT current_user")
    if list(administrator.x509.subject):
        assert right.stdout == "postgres\n", right
    else:
        assert right.code != 0 and "certificate authentication failed" in right.stderr, right
