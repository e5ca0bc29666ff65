# SPDX-License-Identifier: Apache-2.0
"""A real Consul agent in development mode, on free ports, in a directory of its own."""

import json
import os
import random
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from ca import Authority, Identity, TRADITIONAL, key_pem
from processes import Process, wait_until

LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))
ATTEMPTS = 5


def consul_binary():
    named = os.environ.get("CONSUL_BINARY")
    built = Path(__file__).resolve().parents[2] / "build" / "setup" / "consul"
    for candidate in (named, str(built), shutil.which("consul")):
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    raise AssertionError("no Consul: set CONSUL_BINARY or run tools/setup")


def consul_version(binary):
    text = subprocess.run([binary, "version"], capture_output=True, text=True, check=True).stdout
    major, minor = re.search(r"v(\d+)\.(\d+)", text).groups()
    return int(major), int(minor)


def some_port():
    """Return a port below the kernel's range for connections, which could take it while an agent restarts."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    return random.randrange(10000, first) if first > 12000 else 0


def free_ports(count):
    """Return ports that were free, for TCP and UDP, all at the same time."""
    held = []
    try:
        while len(held) < 2 * count:
            tcp = socket.socket()
            udp = socket.socket(type=socket.SOCK_DGRAM)
            try:
                tcp.bind(("127.0.0.1", some_port()))
                udp.bind(tcp.getsockname())
            except OSError:
                tcp.close()
                udp.close()
                continue
            held += [tcp, udp]
        return [tcp.getsockname()[1] for tcp in held[::2]]
    finally:
        for one in held:
            one.close()


class AgentError(Exception):
    """The agent's answer, when it is not a success."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


class Agent:
    MODE = ("-dev",)  # it leads itself, and keeps all in memory
    PORTS = ("http", "https", "server", "serf_lan", "grpc")
    LOG = "warn"
    opener = LOCAL

    def __init__(self, folder, **config):
        self.folder = folder
        self.token = None
        self.authority = None
        self.elder = None
        self.binary = consul_binary()
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(ATTEMPTS):
            try:
                self.start(config)
                return
            except AssertionError as error:
                self.stop()
                if "address already in use" not in self.process.output():
                    raise error
        raise AssertionError(f"no free ports in {ATTEMPTS} attempts:\n{self.process.output()}")

    def start(self, config):
        closed = ["dns", "serf_wan", "http", "grpc"] + ["grpc_tls"] * (consul_version(self.binary) >= (1, 14))
        self.ports = {**dict.fromkeys(closed, -1), **dict(zip(self.PORTS, free_ports(len(self.PORTS))))}
        if "cert_file" not in config:
            self.ports["https"] = -1
        self.address = f"127.0.0.1:{self.ports['http']}"
        self.https_address = f"https://127.0.0.1:{self.ports['https']}"
        self.socket = self.folder / "http.sock"
        settings = {
            "ports": self.ports,
            "bind_addr": "127.0.0.1",
            "addresses": {"http": f"127.0.0.1 unix://{self.socket}"},
            "node_name": "e2e",
            **config,
        }
        self.file = self.folder / "agent.json"
        self.file.write_text(json.dumps(settings, indent=1))
        self.launch()

    @property
    def url(self):
        return f"http://{self.address}"

    def access(self):
        """Return the options of `consul connect envoy` for it: its address, and the address for an Envoy's requests."""
        return ["-http-addr", self.url, "-grpc-addr", f"127.0.0.1:{self.ports['grpc']}"]

    def launch(self):
        self.spawn()
        wait_until(self.leads, f"a leader at {self.address}")

    def spawn(self):
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)}
        self.process = Process(
            [self.binary, "agent", *self.MODE, f"-log-level={self.LOG}", f"-config-file={self.file}"],
            environment, self.folder / "agent.log", cwd=self.folder,
        )

    def leads(self):
        assert not self.process.ended(), f"the agent ended:\n{self.process.output()}"
        try:
            return self.get("/v1/status/leader")
        except (OSError, AgentError):
            return None

    def has_roots(self):
        try:
            return self.get("/v1/agent/connect/ca/roots")["Roots"]
        except (OSError, AgentError):
            return None

    def can_sign(self):
        """Return true once it signs, and where its ACLs give no token the right to ask yet."""
        try:
            return self.leaf("harness")
        except AgentError as error:
            return error.status == 403
        except OSError:
            return None

    def wait_for_roots(self):
        """Wait for its roots, and for leaves. A leader lists a root some moments before it signs."""
        wait_until(self.has_roots, f"CA roots at {self.address}")
        wait_until(self.can_sign, f"leaves from {self.address}")

    def stop(self):
        self.process.kill()

    def restart(self):
        """Start it again with the same address, and without its state: -dev keeps all in memory."""
        self.stop()
        self.launch()

    def request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        if self.token:
            request.add_header("X-Consul-Token", self.token)
        try:
            with self.opener.open(request, timeout=20) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            raise AgentError(error.code, error.read().decode("utf-8", "replace")) from None
        return json.loads(text) if text.strip() else None

    def get(self, path):
        return self.request("GET", path)

    def put(self, path, body):
        return self.request("PUT", path, body)

    def bootstrap(self):
        """Make the harness its manager."""
        def made():
            try:
                return self.put("/v1/acl/bootstrap", None)
            except AgentError as error:
                assert error.status == 500, error  # not ready yet
                return None

        self.token = wait_until(made, "the ACL system")["SecretID"]
        wait_until(self.can_sign, f"leaves from {self.address}")

    def make_token(self, name, rules):
        self.put("/v1/acl/policy", {"Name": name, "Rules": rules})
        return self.put("/v1/acl/token", {"Policies": [{"Name": name}]})["SecretID"]

    def token_of(self, service):
        """Return a token for this service and its sidecar, and for nothing else."""
        return self.put("/v1/acl/token", {"ServiceIdentities": [{"ServiceName": service}]})["SecretID"]

    @property
    def trust_domain(self):
        return self.get("/v1/agent/connect/ca/roots")["TrustDomain"]

    @property
    def root_pems(self):
        return [root["RootCert"] for root in self.get("/v1/agent/connect/ca/roots")["Roots"]]

    @property
    def active_root(self):
        return self.get("/v1/agent/connect/ca/roots")["ActiveRootID"]

    def leaf(self, service):
        """Return a leaf of a service, as an application with files would use it."""
        leaf = self.get("/v1/agent/connect/ca/leaf/" + urllib.parse.quote(service, safe=""))
        end = "-----END CERTIFICATE-----\n"
        certificate, _, intermediates = leaf["CertPEM"].partition(end)
        return Identity(certificate + end, leaf["PrivateKeyPEM"], intermediates)

    def signs(self, service):
        """Return true once it signs. A leader lists its root some moments before that: "CA root is nil"."""
        try:
            return self.leaf(service)
        except (OSError, AgentError):
            return None

    def adopt_authority(self):
        """Rotate to a root whose key the test has, so that it can issue leaves that Consul never would.

        The agent then lists two roots, and its leaves come with a cross-signed intermediate.
        `elder` is a leaf of the first root.
        """
        self.elder = wait_until(lambda: self.signs("elder"), f"a leaf from {self.address}")
        self.authority = Authority(self.trust_domain, "Adopted Root")
        self.put("/v1/connect/ca/configuration", {
            "Provider": "consul",
            "Config": {
                "PrivateKey": key_pem(self.authority.key, TRADITIONAL),
                "RootCert": self.authority.pem,
                "LeafCertTTL": "72h",
                "RotationPeriod": "2160h",
            },
        })
        wait_until(lambda: len(self.has_roots() or ()) == 2, "both roots")

    def allows(self, source, destination):
        uri = f"spiffe://{self.trust_domain}/ns/default/dc/dc1/svc/{source}"
        return self.request("POST", "/v1/agent/connect/authorize", {
            "Target": destination, "ClientCertURI": uri, "ClientCertSerial": "01",
        })["Authorized"]

    def set_intention(self, action, source, destination):
        """Return False where the agent cannot tell yet. A leader that has just started lists no intentions."""
        intention = {"SourceName": source, "DestinationName": destination, "Action": action}
        try:
            known = [
                intention["ID"] for intention in self.get("/v1/connect/intentions") or []
                if (intention["SourceName"], intention["DestinationName"]) == (source, destination)
            ]
            if known:
                self.put(f"/v1/connect/intentions/{known[0]}", intention)
            else:
                self.request("POST", "/v1/connect/intentions", intention)
        except AgentError as error:
            if error.status != 500:
                raise
            return False
        return True

    def intend(self, action, source, destination):
        """Set an intention, and return once the agent decides by it."""
        wait_until(lambda: self.set_intention(action, source, destination), f"an intention at {self.address}")
        wanted = action == "allow"
        wait_until(lambda: self.allows(source, destination) is wanted, f"{action} {source} => {destination}")

    def allow(self, source, destination):
        self.intend("allow", source, destination)

    def deny(self, source, destination):
        self.intend("deny", source, destination)
