"""What an authorized handshake costs beside a plain one: tools/bench runs this.

Everything is measured side by side, in rounds, with one real agent and the program of handshake.c, which
knows nothing of the provider. *Plain* is mutual TLS with the same leaf in files, and no authorization.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import slots  # noqa: E402
import stand_ins  # noqa: E402
from agent import Agent  # noqa: E402
from programs import Programs  # noqa: E402

VERSIONS = ("1.2", "1.3")
WARM = 16  # seconds until a busy server knows its decisions: it watches, and has seen no change for a while


class Bench:
    def __init__(self, folder, module, program):
        self.program = program
        (folder / "reports").mkdir()
        self.programs = Programs(folder, module, None, folder / "reports")
        self.agent = Agent(folder / "agent")
        self.agent.wait_for_roots()
        leaf = self.agent.leaf("web")
        roots = self.programs.write("roots.pem", "\n".join(self.agent.root_pems))
        files = [self.programs.write("web.pem", leaf.certificate + leaf.intermediates),
                 self.programs.write("web.key", leaf.key), roots]
        stand_in = [*stand_ins.make(self.programs, "consul:leaf/web"), roots]
        ours = self.programs.config(self.agent)
        # What one side is: openssl.cnf, files, and whether OpenSSL builds its own chain each time.
        self.sides = {
            "plain": (None, files, "auto"),
            "tuned": (None, files, "none"),
            "ours": (ours, stand_in, "auto"),
        }

    def argv(self, verb, side, version, *more):
        config, files, chain = self.sides[side]
        return ([str(a) for a in (self.program, verb, *files, version, chain, *more)],
                self.programs.environment(config))

    def serve(self, side, version, threads):
        argv, environment = self.argv("serve", side, version, threads)
        server = subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        server.port = int(server.stdout.readline())
        return server

    def connect(self, side, version, threads, count, port):
        """Handshakes a second."""
        argv, environment = self.argv("connect", side, version, threads, count, port)
        seconds, failed = subprocess.run(
            argv, env=environment, check=True, capture_output=True, text=True).stdout.split()
        assert failed == "0", f"{failed} of {count} handshakes failed"
        return count / float(seconds)

    def rates(self, version, threads, count, rounds):
        """Of each pair of sides, in rounds: {name: [handshakes a second]}."""
        pairs = {
            "plain": ("plain", "plain"), "plain, NO_AUTO_CHAIN": ("tuned", "tuned"),
            "ours, server only": ("ours", "plain"), "ours, both sides": ("ours", "ours"),
        }
        found = {name: [] for name in (*pairs, "ours, server only, asking")}
        for _ in range(rounds):
            for name, (serving, connecting) in pairs.items():
                server = self.serve(serving, version, threads)
                if serving == "ours":
                    end = time.monotonic() + WARM
                    while time.monotonic() < end:
                        self.connect(connecting, version, threads, 500, server.port)
                found[name].append(self.connect(connecting, version, threads, count, server.port))
                server.communicate()
            held = slots.take_all(self.agent.address)  # nobody watches: each handshake asks
            server = self.serve("ours", version, threads)
            found["ours, server only, asking"].append(self.connect("plain", version, threads, count, server.port))
            server.communicate()
            for one in held:
                one.close()
        return found

    def instructions(self, side, version, few=60, many=260):
        """Of both sides of a handshake, without what a program's start and end take."""
        totals = []
        for count in (few, many):
            argv, environment = self.argv("pair", side, version, count)
            done = subprocess.run(
                ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *argv],
                env=environment, check=True, capture_output=True, text=True)
            totals.append(int(re.search(r"Collected : (\d+)", done.stderr).group(1)))
        return (totals[1] - totals[0]) / (many - few)

    def close(self):
        self.programs.close()
        self.agent.stop()


def spread(values):
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


def report(instructions, rates):
    lines = [f"Measured {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, "
             f"{subprocess.run(['openssl', 'version'], capture_output=True, text=True).stdout.split(' (')[0].strip()}.",
             "", "Instructions of both sides of a handshake (callgrind), each authorized by a question:", "",
             "| TLS | plain | plain, NO_AUTO_CHAIN | ours | of plain | of NO_AUTO_CHAIN |", "|---|---|---|---|---|---|"]
    for version, of in instructions.items():
        lines.append(f"| {version} | {of['plain'] / 1e6:.2f} M | {of['tuned'] / 1e6:.2f} M | {of['ours'] / 1e6:.2f} M "
                     f"| {of['ours'] / of['plain']:.2f} | {of['ours'] / of['tuned']:.2f} |")
    lines += ["", "Handshakes a second, median (least-most) of the rounds, and their time as a share of plain's:", "",
              "| TLS | threads | what | handshakes/s | time of plain |", "|---|---|---|---|---|"]
    for (version, threads), found in rates.items():
        plain = statistics.median(found["plain"])
        for name, values in found.items():
            lines.append(f"| {version} | {threads} | {name} | {spread(values)} "
                         f"| {plain / statistics.median(values):.2f} |")
    return "\n".join(lines) + "\n"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("build", type=Path, help="a build directory")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--count", type=int, default=2000, help="handshakes of one measurement")
    options.add_argument("--threads", default="1,16")
    options = options.parse_args()
    build = options.build.resolve()
    with tempfile.TemporaryDirectory(prefix="consul-bench-") as folder:
        bench = Bench(Path(folder), build / "provider" / "consul.so", build / "tests" / "bench" / "handshake")
        try:
            instructions = {
                version: {side: bench.instructions(side, version) for side in bench.sides} for version in VERSIONS}
            rates = {
                (version, threads): bench.rates(version, threads, options.count, options.rounds)
                for version in VERSIONS for threads in map(int, options.threads.split(","))}
        finally:
            bench.close()
    text = report(instructions, rates)
    figures = build / "figures"
    figures.mkdir(exist_ok=True)
    (figures / "bench.md").write_text(text)
    (figures / "bench.json").write_text(json.dumps(
        {"instructions": instructions, "rates": {f"{v}, {t}": found for (v, t), found in rates.items()}}, indent=1))
    print(text)


main()
