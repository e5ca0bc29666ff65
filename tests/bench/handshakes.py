# SPDX-License-Identifier: Apache-2.0
"""An authorized handshake beside a plain one: mutual TLS with the same leaf in files, and no authorization."""

import re
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import slots
import stand_ins
import start
from peers import Holder, Meter, Server, Side, Trickle, load

VERSIONS = ("1.2", "1.3")
SERVER_THREADS = 160
FIRST = (1, 10, 100)

# The compared cases: (way of the server, way of the client).
CASES = {
    "plain": ("plain", "plain"),
    "plain, NO_AUTO_CHAIN": ("tuned", "tuned"),
    "ours, server only, asking": ("asking", "plain"),
    "ours, server only": ("ours", "plain"),
    "ours, both sides": ("ours", "ours"),
}
PATIENT = {"connect_timeout": "60s", "request_timeout": "60s", "authorize_timeout": "60s"}  # under callgrind
MUTUAL = ("plain", "tuned", "asking", "ours")
PUBLIC = {"without": None, "loaded": {}, "a service": {"service": "web", "inbound": "off"}}
P256 = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
PUBLIC_CHAINS = {  # keys, from the root down
    "P-256, of a CA with P-256": (P256, P256),
    "RSA-2048, of RSA-2048, of RSA-4096": (("-newkey", "rsa:4096"), ("-newkey", "rsa:2048"), ("-newkey", "rsa:2048")),
}


class Sides:
    """The same leaf in files and from the agent. `asking` goes by an address without a slot for a watch."""

    def __init__(self, programs, agent):
        self.programs, self.agent = programs, agent
        leaf = agent.leaf("web")
        roots = programs.write("roots.pem", "\n".join(agent.root_pems))
        files = (programs.write("web.pem", leaf.certificate + leaf.intermediates),
                 programs.write("web.key", leaf.key), roots)
        self.stand_in = (*stand_ins.make(programs, "consul:leaf/web"), roots)
        self.plain = {"plain": Side(None, files), "tuned": Side(None, files, chain="none")}
        self.alone = f"127.0.0.2:{agent.address.rpartition(':')[2]}"
        self.held = slots.take_all(self.alone)
        self.public_files = {name: self.make_public(f"public-{number}", keys)
                             for number, (name, keys) in enumerate(PUBLIC_CHAINS.items())}

    def of(self, runtime, **settings):
        return {
            **self.plain,
            "ours": Side(runtime.programs.config(self.agent, **settings), self.stand_in),
            "asking": Side(runtime.programs.config(self.alone, **settings), self.stand_in),
        }

    def make_public(self, name, keys):
        """Make an ordinary server's files of the chain, the key and the root; `keys` are from the root down."""
        programs, issuer, chain = self.programs, (), []
        last = len(keys) - 1
        for depth, key in enumerate(keys):
            files = certificate, private, request, extensions = [
                programs.path(f"{name}-{depth}.{ending}") for ending in ("pem", "key", "csr", "extensions")]
            subject, text = f"/CN=CA {depth}", "basicConstraints = critical, CA:TRUE\n"
            if depth == last:
                subject, text = "/CN=localhost", "subjectAltName = DNS:localhost\nextendedKeyUsage = serverAuth\n"
            extensions.write_text(text)
            for argv in (
                ("req", "-new", *key, "-nodes", "-keyout", private, "-out", request, "-subj", subject),
                ("x509", "-req", "-in", request, *(issuer or ("-signkey", private)), "-days", "30",
                 "-extfile", extensions, "-out", certificate),
            ):
                # Debian's own openssl.cnf, as `req` wants one.
                made = programs.openssl(*argv, env={"OPENSSL_CONF": "/etc/ssl/openssl.cnf"})
                assert made.code == 0, made
            issuer = ("-CA", certificate, "-CAkey", private, "-CAcreateserial")
            chain.insert(0, files)
        root = chain[-1][0]
        shown = programs.write(f"{name}-chain.pem", "".join(one[0].read_text() for one in chain[:-1]))
        return shown, chain[0][1], root

    def close(self):
        for one in self.held:
            one.close()


# ---- instructions ----

def collected(runtime, verb, side, version, few, many, is_busy=False):
    """Return the instructions of both ends of a handshake, without the start and end of the program."""
    totals = []
    if is_busy:  # asks for its leaf at one of some handshakes
        many = few + 10 * (many - few)
    for count in (few, many):
        argv, environment = runtime.peer(verb, side, count, version=version, before=[
            "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"])
        if is_busy:
            environment = {**environment, "LD_PRELOAD": str(runtime.paced_clock)}
        done = subprocess.run(argv, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        totals.append(int(re.search(r"Collected : (\d+)", done.stderr).group(1)))
    return (totals[1] - totals[0]) / (many - few)


def instructions(runtime, sides, few, many):
    """Return ({version: {side: instructions}}, {chain: the same of public TLS}). They repeat, also side by side.

    Callgrind slows a process down, so that it is busy by a clock of its own alone.
    """
    ways = sides.of(runtime, **PATIENT)
    configs = {name: settings if settings is None else runtime.programs.config(sides.agent, **settings)
               for name, settings in PUBLIC.items()}
    configs["legacy"] = runtime.programs.write("legacy.cnf", start.LEGACY)
    with ThreadPoolExecutor(2) as pool:
        def begin(verb, of):
            return {version: {name: pool.submit(collected, runtime, verb, side, version, few, many, name == "ours")
                              for name, side in of.items()} for version in VERSIONS}

        def end(begun):
            return {version: {name: one.result() for name, one in of.items()} for version, of in begun.items()}

        mutual = begin("pair", {name: ways[name] for name in MUTUAL})
        public = {chain: begin("public", {name: Side(config, files) for name, config in configs.items()})
                  for chain, files in sides.public_files.items()}
        return end(mutual), {chain: end(begun) for chain, begun in public.items()}


# ---- wall time, and CPU time ----

class Servers:
    """A server for each way to serve, through all rounds. The busy server is kept busy."""

    def __init__(self, runtime, sides):
        self.runtime, self.sides = runtime, sides.of(runtime)
        self.all = {name: Server(runtime, side, SERVER_THREADS) for name, side in self.sides.items()}
        self.trickle = Trickle(runtime, self.sides["plain"], self.all["ours"].port)

    def measure(self, case, version, threads, seconds):
        serving, connecting = CASES[case]
        server = self.all[serving]
        with Meter(server.pid) as meter:
            found = load(
                self.runtime, "connect", self.sides[connecting], server.port, threads, seconds, version=version)
        served = found.count + found.before + (Trickle.RATE * meter.seconds if serving == "ours" else 0)
        return {"rate": found.rate, "server cpu": meter.cpu / served, "client cpu": found.cpu / found.count}

    def close(self):
        self.trickle.stop()
        for server in self.all.values():
            server.stop()


def steady(runtime, sides, threads, rounds, seconds, warm):
    """Return [{version, threads, case, and lists of the results of each round}]."""
    servers = Servers(runtime, sides)
    rows = [{"version": version, "threads": count, "case": case, "rounds": []}
            for version in VERSIONS for count in threads for case in CASES]
    try:
        time.sleep(warm)
        for _ in range(rounds):
            for row in rows:
                row["rounds"].append(servers.measure(row["case"], row["version"], row["threads"], seconds))
    finally:
        servers.close()
    return rows


def contention(runtime, sides, threads, seconds, warm):
    """Count how often a busy server takes a lock in a handshake, and how often another thread has it."""
    of = sides.of(runtime)
    file = runtime.programs.path("lock-counts")
    server = Server(runtime, of["ours"], SERVER_THREADS, {"LD_PRELOAD": str(runtime.lock_counts),
                                                          "LOCK_COUNTS": str(file)})
    trickle = Trickle(runtime, of["plain"], server.port)

    def counts():
        return struct.unpack("qq", file.read_bytes())

    try:
        time.sleep(warm)
        before = counts()
        with Meter(server.pid) as meter:
            found = load(runtime, "connect", of["plain"], server.port, threads, seconds, version="1.3")
        taken, waited_for = (after - earlier for after, earlier in zip(counts(), before))
    finally:
        trickle.stop()
        server.stop()
    return {"threads": threads, "taken": taken, "waited for": waited_for,
            "handshakes": round(found.count + found.before + Trickle.RATE * meter.seconds)}


def fresh(runtime, sides, rounds):
    """Return {(fresh thing, case, n): [seconds from the start of the process to the end of its nth handshake]}."""
    of = sides.of(runtime)
    found = {}

    def note(what, case, began, at):
        for number in FIRST:
            found.setdefault((what, case, number), []).append(at[number] - began)

    old = Server(runtime, of["plain"], SERVER_THREADS)
    for _ in range(rounds):
        for case, name in (("plain", "plain"), ("ours", "ours")):
            holder = Holder(runtime, of[name], old.port, FIRST[-1], version="1.3")
            note("client", case, holder.began, holder.at)
            holder.stop()
            server = Server(runtime, of[name], SERVER_THREADS)
            holder = Holder(runtime, of["plain"], server.port, FIRST[-1], version="1.3")
            note("server", case, server.began, holder.at)
            holder.stop()
            server.stop()
    old.stop()
    return found
