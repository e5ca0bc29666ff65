# SPDX-License-Identifier: Apache-2.0
"""doc/platforms.md: tokens of `consul login` as in Kubernetes and Nomad, and the variables that Nomad sets."""

import base64
import contextlib
import http.server
import json
import os
import re
import socket
import socketserver
import ssl
import threading
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import newcomer
from ca import Authority
from processes import wait_until
from programs import TLS13

pytestmark = pytest.mark.consul

PAGE = "doc/platforms.md"
AUDIENCE = "consul.io"


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Issuer:
    """It signs tokens of workloads, as a Nomad server does (RFC 7519, RS256)."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def pem(self):
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def token(self, **claims):
        now = int(time.time())
        head = encoded(json.dumps({"alg": "RS256", "typ": "JWT"}).encode())
        body = encoded(json.dumps({"aud": AUDIENCE, "iat": now, "nbf": now - 60, "exp": now + 3600, **claims}).encode())
        text = head + b"." + body
        return (text + b"." + encoded(self.key.sign(text, padding.PKCS1v15(), hashes.SHA256()))).decode()


@pytest.fixture
def nomad(guarded):
    """Make the auth method, the rules and the role of `nomad setup consul`; give its issuer."""
    issuer = Issuer()
    guarded.put("/v1/acl/auth-method", {"Name": "nomad-workloads", "Type": "jwt", "Config": {
        "JWTValidationPubKeys": [issuer.pem], "JWTSupportedAlgs": ["RS256"], "BoundAudiences": [AUDIENCE],
        "ClaimMappings": {name: name for name in ("nomad_namespace", "nomad_job_id", "nomad_task", "nomad_service")}}})
    rules = 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" } key_prefix "" { policy = "read" }'
    guarded.put("/v1/acl/policy", {"Name": "policy-nomad-tasks", "Rules": rules})
    guarded.put("/v1/acl/role", {"Name": "nomad-default-tasks", "Policies": [{"Name": "policy-nomad-tasks"}]})
    for rule in (
            {"BindType": "service", "BindName": "${value.nomad_service}", "Selector": '"nomad_service" in value'},
            {"BindType": "role", "BindName": "nomad-${value.nomad_namespace}-tasks",
             "Selector": '"nomad_service" not in value'}):
        guarded.put("/v1/acl/binding-rule", {"AuthMethod": "nomad-workloads", **rule})
    yield issuer
    guarded.request("DELETE", "/v1/acl/auth-method/nomad-workloads")


def consul(programs, agent, command, **variables):
    """Run the command of a page with this agent, as its manager unless a token is given."""
    variables.setdefault("CONSUL_HTTP_TOKEN", agent.token)
    words = re.sub(r"^consul ", f"{agent.binary} ", command)
    done = programs.run(["sh", "-c", words], env={"CONSUL_HTTP_ADDR": agent.address, **variables})
    assert done.code == 0, done
    return done


def test_a_task_of_nomad(programs, guarded, nomad, service):
    """The default role is not enough for a leaf. The rule of the page is. A new token counts without a restart."""
    jwt, sink = programs.write("jwt", nomad.token(nomad_namespace="default", nomad_task=service)), programs.path("token")
    login = f"consul login -method=nomad-workloads -bearer-token-file={jwt} -token-sink-file={sink}"
    consul(programs, guarded, login, CONSUL_HTTP_TOKEN="")
    assert oct(sink.stat().st_mode)[-3:] == "600"
    config = programs.config(guarded, token_file=sink)
    refused = programs.storeutl(f"consul:leaf/{service}", config=config)
    assert refused.code != 0 and "service:write" in refused.stderr, refused

    rule, = [line for line in newcomer.blocks(PAGE, "console")[1].replace("\\\n", "").splitlines()
             if "binding-rule" in line]
    consul(programs, guarded, rule.removeprefix("$ ").replace("web", service))
    own = programs.config(guarded, login_method="nomad-workloads", login_bearer_file=jwt)
    assert programs.storeutl(f"consul:leaf/{service}", config=own).code == 0
    consul(programs, guarded, login, CONSUL_HTTP_TOKEN="")
    server = programs.connect_server(service, config=config)
    guarded.allow("api", service)
    friend = guarded.leaf("api").files(programs.folder, "api")
    assert programs.talk(server, TLS13, *friend).talked
    consul(programs, guarded, f"consul logout -token-file={sink}", CONSUL_HTTP_TOKEN="")
    assert wait_until(lambda: not programs.talk(server, TLS13, *friend).talked, "a refusal")
    consul(programs, guarded, login, CONSUL_HTTP_TOKEN="")
    wait_until(lambda: programs.talk(server, TLS13, *friend).talked, "the new token")


class Kubernetes(http.server.BaseHTTPRequestHandler):
    """The two answers of Kubernetes to Consul: the account that a token is of, and the account itself."""

    ACCOUNT = "system:serviceaccount:default:web"

    def answer(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = self.path == "/apis/authentication.k8s.io/v1/tokenreviews" and review["spec"]["token"] == self.server.token
        user = {"username": self.ACCOUNT, "uid": "1"} if known else {}
        self.answer({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                     "status": {"authenticated": known, "user": user}})

    def do_GET(self):
        assert self.path == "/api/v1/namespaces/default/serviceaccounts/web", self.path
        self.answer({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "default", "uid": "1"}})

    def log_message(self, *_):
        pass


@pytest.fixture
def kubernetes(tmp_path):
    """Give an API of Kubernetes over HTTPS, with its CA and the token of the service account web."""
    authority = Authority("kubernetes.example", "Kubernetes CA")
    _, certificate, _, key, *_ = authority.issue([], dns=["127.0.0.1"]).files(tmp_path, "kubernetes")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Kubernetes)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.ca, server.token = authority.pem, Issuer().token(sub=Kubernetes.ACCOUNT)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_pod_of_kubernetes(programs, guarded, kubernetes):
    """The init container's command works with the auth method of Consul's Helm chart, and gives the leaf of its service."""
    guarded.put("/v1/acl/auth-method", {"Name": "consul-k8s-auth-method", "Type": "kubernetes", "Config": {
        "Host": f"https://127.0.0.1:{kubernetes.server_address[1]}", "CACert": kubernetes.ca,
        "ServiceAccountJWT": kubernetes.token}})
    guarded.put("/v1/acl/binding-rule", {
        "AuthMethod": "consul-k8s-auth-method", "BindType": "service", "BindName": "${serviceaccount.name}",
        "Selector": "serviceaccount.name!=default"})
    sink = programs.path("token")
    manifest = (newcomer.ROOT / "examples" / "kubernetes.yaml").read_text()
    command = " ".join(json.loads(re.search(r"command: (\[.*?\])", manifest, re.DOTALL)[1]))
    jwt = programs.write("jwt", kubernetes.token)
    for words, ours in (("/var/run/secrets/kubernetes.io/serviceaccount/token", jwt), ("/consul/login/token", sink),
                        ("$(POD)", "web-1")):
        assert words in command and words in manifest
        command = command.replace(words, str(ours))
    consul(programs, guarded, command, CONSUL_HTTP_TOKEN="")
    config = programs.config(guarded, token_file=sink)
    assert programs.storeutl("consul:leaf/web", config=config).code == 0
    refused = programs.storeutl("consul:leaf/db", config=config)
    assert refused.code != 0 and "service:write" in refused.stderr, refused
    login = programs.config(guarded, login_method="consul-k8s-auth-method", login_bearer_file=jwt)
    assert programs.storeutl("consul:leaf/web", config=login).code == 0
    refused = programs.storeutl("consul:leaf/db", config=login)
    assert refused.code != 0 and "service:write" in refused.stderr, refused
    jwt.write_text(Issuer().token(sub=Kubernetes.ACCOUNT))
    with pytest.raises(AssertionError, match="jwt not valid"):
        consul(programs, guarded, command, CONSUL_HTTP_TOKEN="")
    refused = programs.storeutl("consul:leaf/web", config=login)
    assert refused.code != 0 and "jwt not valid" in refused.stderr, refused
    guarded.request("DELETE", "/v1/acl/auth-method/consul-k8s-auth-method")


class Bridge(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The socket that Nomad makes for an allocation: the bytes go to a port of the agent, and come back."""

    daemon_threads = True

    def __init__(self, path, port):
        self.port = port
        super().__init__(str(path), self.Connection)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    class Connection(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.create_connection(("127.0.0.1", self.server.port)) as other:
                threading.Thread(target=self.copy, args=(other, self.request), daemon=True).start()
                self.copy(self.request, other)

        @staticmethod
        def copy(source, target):
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)


def test_the_variables_of_nomad(programs, make_agent, tmp_path, service):
    """In bridge mode: HTTPS by a unix socket, the CA in /secrets, and the name localhost."""
    authority = Authority("nomad.example", "HTTPS Root")
    _, certificate, _, key, *_ = authority.issue([], dns=["localhost"]).files(tmp_path, "https")
    root, path = programs.write("consul_ca_file.pem", authority.pem), tmp_path / "consul_http.sock"
    agent = make_agent(cert_file=certificate, key_file=key)
    agent.wait_for_roots()
    variables = {
        "CONSUL_HTTP_ADDR": f"unix://{path}", "CONSUL_HTTP_SSL": "true", "CONSUL_HTTP_SSL_VERIFY": "true",
        "CONSUL_CACERT": str(root), "CONSUL_TLS_SERVER_NAME": "localhost"}
    with Bridge(path, agent.ports["https"]) as bridge:
        shown = programs.storeutl(f"consul:leaf/{service}", "-noout", "-certs", config=programs.config(), env=variables)
        assert shown.code == 0 and "Total found: 1" in shown.stdout, shown
        foreign = programs.write("foreign.pem", Authority("nomad.example", "HTTPS Root").pem)
        refused = programs.storeutl(
            f"consul:leaf/{service}", config=programs.config(), env={**variables, "CONSUL_CACERT": str(foreign)})
        assert refused.code != 0, refused
        bridge.shutdown()
    agent.stop()


def test_a_restart_makes_another_socket(own_agent):
    """So a container mounts the folder of the socket, and not the socket."""
    before = os.stat(own_agent.socket).st_ino, os.stat(own_agent.socket).st_ctime_ns
    own_agent.restart()
    assert (os.stat(own_agent.socket).st_ino, os.stat(own_agent.socket).st_ctime_ns) != before
