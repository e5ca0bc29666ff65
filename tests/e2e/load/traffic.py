# SPDX-License-Identifier: Apache-2.0
"""Clients that connect all the time, in processes of their own, and their connections."""

import json
import threading
import time
import urllib.error
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import stand_ins
from agent import LOCAL
from applications import nginx
from applications.common import launch
from ca import Authority, TRADITIONAL, key_pem
from processes import Process, wait_until
from programs import PYTHON, Server

TALKER = Path(__file__).with_name("talker.py")
LIVE_SERVER = Path(__file__).parents[1] / "live_server.py"

# nginx says the name of its client, and its own worker.
NGINX = """\
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{ return 200 "$ssl_client_serial $pid"; }}
}}
"""
NGINX_MORE = """\
    access_log off;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:sessions:1m;
"""


def start_nginx(programs, config, certificate, key):
    """Start nginx with two workers, which keep sessions where they may."""
    def make(folder, port):
        text = NGINX.format(port=port, certificate=certificate, key=key)
        return nginx.command(folder, text, NGINX_MORE)

    return launch(programs, config, make, nginx.READY)


def start_live_server(programs, config, model, service, folder):
    """Start the Python server in one of its process models, by a stand-in."""
    files = stand_ins.make(programs, f"consul:leaf/{service}")
    argv = [PYTHON, "-X", "faulthandler", LIVE_SERVER, model, *files, folder]
    return programs.start(Server, argv, config, programs.leaks_allowed()).ready()


@dataclass
class Connection:
    client: str
    began: float
    ended: float
    server: str
    port: int  # the client's own
    outcome: str
    serial: int  # of the leaf that the server presented; 0 where the client did not get to see it
    text: str

    @property
    def served(self):
        return self.outcome == "served"

    @property
    def facts(self):
        """Return the JSON object of a neutral client that was not served, or None."""
        return json.loads(self.text[self.text.index("{"):]) if "{" in self.text and not self.served else None


class Client:
    """A talker that runs."""

    def __init__(self, programs, name, kind, servers, config=None, pause=0.0, offers=True, **settings):
        self.name = name
        self.record = programs.path(f"{name}-record")
        self.rest_file = programs.path(f"{name}-rest")
        folder = programs.path(f"{name}-files")
        folder.mkdir()
        settings = {
            "kind": kind, "servers": {server: process.port for server, process in servers.items()},
            "record": str(self.record), "folder": str(folder), "rest": str(self.rest_file),
            "pause": pause, "offers": offers, **settings}
        self.read, self.rested = 0, 0
        self.connections = []
        self.process = programs.start(
            Process, [PYTHON, "-X", "faulthandler", TALKER, json.dumps(settings)], config, programs.leaks_allowed())

    def news(self):
        """Return the connections that it has made since the last call."""
        if self.process.ended():
            raise AssertionError(f"{self.name} ended with {self.process.wait()}: {self.process.output()}")
        if not self.record.exists():
            return []
        with open(self.record, "rb") as record:
            record.seek(self.read)
            lines = record.read().rpartition(b"\n")[0]
        self.read += len(lines) + bool(lines)
        new = []
        for line in lines.decode("utf-8", "replace").split("\n") if lines else []:
            began, ended, server, port, outcome, serial, text = line.split("\t", 6)
            new.append(Connection(
                self.name, float(began), float(ended), server, int(port), outcome, int(serial), text))
        self.connections += new
        return new

    def rest(self):
        """Wait until it has no connection. It makes none until go_on()."""
        mark = self.process.size()
        self.rest_file.touch()
        self.process.wait_for("RESTING", mark)

    def go_on(self):
        self.rest_file.unlink()


def new_root(agent, config, **more):
    """Rotate the CA, and return once the agent lists the new root."""
    known = len(agent.has_roots())
    authority = Authority(agent.trust_domain, f"Root {known}")
    agent.put("/v1/connect/ca/configuration", {
        "Provider": "consul",
        "Config": {"PrivateKey": key_pem(authority.key, TRADITIONAL), "RootCert": authority.pem,
                   "RotationPeriod": "2160h", **config},
        **more,
    })
    wait_until(lambda: len(agent.has_roots() or ()) > known, "the new root")


class Observer:
    """A blocking query beside the servers' own. It notes when the agent had which leaf of a service."""

    def __init__(self, agent, service):
        self.path = f"http://{agent.address}/v1/agent/connect/ca/leaf/{urllib.parse.quote(service)}"
        self.leaves = []  # (moment, serial number)
        self.chains = {}  # by serial number
        threading.Thread(target=self.watch, daemon=True).start()
        wait_until(lambda: self.leaves, f"a leaf of {service}")

    def watch(self):
        index = 0
        while True:
            try:
                with LOCAL.open(f"{self.path}?index={index}&wait=60s", timeout=90) as response:
                    moment = time.monotonic()
                    index = int(response.headers["X-Consul-Index"])
                    leaf = json.load(response)
                    serial = int(leaf["SerialNumber"].replace(":", ""), 16)
                    self.chains[serial] = leaf["CertPEM"]
            except urllib.error.HTTPError:
                continue  # "provider not initialized": in the moment of a rotation it cannot sign
            except OSError:
                return  # the agent has ended
            if not self.leaves or serial != self.leaves[-1][1]:
                self.leaves.append((moment, serial))

    @property
    def serial(self):
        return self.leaves[-1][1]


@dataclass
class Sighting:
    """A handshake in which a process presented a leaf of its service."""

    process: str
    began: float
    ended: float
    serial: int


@dataclass
class Renewal:
    """How a new leaf came to be presented by one process."""

    lag: float  # seconds from the first connection since the agent had it, to the end of the first handshake with it
    missed: float  # its age in seconds at the begin of the last handshake without it, or 0


def renewals(leaves, sightings):
    """Return the renewals of each leaf but the first, by each process. Serial numbers of Consul's own CA only rise."""
    result = []
    for process in {one.process for one in sightings}:
        seen = [one for one in sightings if one.process == process]
        for moment, serial in leaves[1:]:
            having = [one.ended for one in seen if one.serial >= serial]
            after = [one for one in seen if one.began > moment]
            if having and after:
                next_began = min(one.began for one in after)
                without = [one.began - moment for one in after if one.serial < serial]
                result.append(Renewal(max(0.0, min(having) - next_began), max(without, default=0.0)))
    return result
