# SPDX-License-Identifier: Apache-2.0
"""The cost of Connect by the provider, beside plain TLS and beside a sidecar: tools/bench runs this.

Everything is measured side by side, in rounds, with one real agent. The program is peer.c, which knows nothing of
the provider.
"""

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
import traceback
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[1:1] = [str(ROOT / "tests" / "e2e"), str(ROOT / "tests" / "e2e" / "load")]

import board  # noqa: E402
import database  # noqa: E402
import handshakes  # noqa: E402
import library  # noqa: E402
import propagation  # noqa: E402
import quiet  # noqa: E402
import report  # noqa: E402
import sidecar  # noqa: E402
import since  # noqa: E402
import start  # noqa: E402
from agent import Agent  # noqa: E402
from peers import Runtime  # noqa: E402
from programs import Programs  # noqa: E402

TOPICS = ("start", "instructions", "board", "fresh", "quiet", "steady", "sidecar", "library", "database", "propagation", "since")
PAGE = ROOT / "doc" / "cost.md"
DOCUMENT = ROOT / "doc" / "cost"  # the tables, and the charts that the page shows
TELEMETRY = {"prometheus_retention_time": "10m", "disable_hostname": True}
BEGINNING = "# Measured cost\n\n<!-- Made by tools/bench --document. -->\n\n"

# `warm`: seconds until a busy server uses kept verdicts. It watches then, and has seen no change for a while.
FULL = {"rounds": 5, "seconds": 0.5, "threads": "1,2,4,16,64", "handshakes": 40, "flips": 50, "renewals": 50,
        "sidecar_seconds": 1.5, "warm": 16.0, "visits": 30, "database_seconds": 4}
QUICK = {"rounds": 1, "seconds": 0.2, "threads": "1,4", "handshakes": 4, "flips": 2, "renewals": 5,
         "sidecar_seconds": 0.2, "warm": 1.0, "visits": 4, "database_seconds": 1}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, help="a build directory")
    parser.add_argument("--newer", type=Path, help="another one, of a Debian tree with a newer OpenSSL")
    parser.add_argument("--tree", type=Path, help="that tree")
    parser.add_argument("--quick", action="store_true", help="only to see that everything works")
    parser.add_argument("--document", action="store_true", help="write tables and charts into doc/cost, too")
    parser.add_argument("--since", type=Path, help="an earlier tree with builds of the same names, to compare with")
    parser.add_argument("--onto", type=Path, help="the bench.json of an earlier run: its other topics are kept")
    usual = [topic for topic in TOPICS if topic != "since" and (topic != "library" or library.is_there())]
    parser.add_argument("--topics", help=f"of {', '.join(TOPICS)}")
    for name, value in FULL.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value))
    options = parser.parse_args()
    if "since" in (options.topics or "").split(",") and not options.since:
        parser.error("the topic since needs an earlier tree")
    if options.since and (options.document or options.onto):
        parser.error("a comparison with an earlier tree is no part of doc/cost")
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.threads = [int(count) for count in options.threads.split(",")]
    options.topics = options.topics.split(",") if options.topics else ["since"] if options.since else usual
    return options


def machine(runtimes, agent):
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    consul = re.search(r"v[\d.]+", os.popen(f"{agent.binary} version").read())
    return {"date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count(), "cpu": cpu[1] if cpu else platform.machine(),
            "kernel": platform.release().split("-")[0], "openssl": [one.name for one in runtimes],
            "consul": f"Consul {consul[0][1:]}"}


class Bench:
    def __init__(self, options, folder, stack):
        (folder / "reports").mkdir()
        self.options = options
        self.build = options.build.resolve()
        self.agent = Agent(folder / "agent", addresses={"http": "127.0.0.1 127.0.0.2"}, telemetry=TELEMETRY)
        stack.callback(self.agent.stop)
        self.agent.wait_for_roots()

        def programs_with(build):
            files = Path(tempfile.mkdtemp(dir=folder))  # each counts its files by itself
            files.chmod(0o755)
            programs = Programs(files, build / "provider" / "consul.so", None, folder / "reports")
            stack.callback(programs.close)
            return programs

        def runtime(build, tree=None):
            if options.since:
                self.earlier.append(programs_with(options.since.resolve() / "build" / build.name))
            return Runtime(build, programs_with(build), tree)

        self.earlier = []  # the same programs with the earlier module, of each runtime
        self.runtimes = [runtime(self.build)]
        self.programs = self.runtimes[0].programs
        if options.newer:
            self.runtimes.append(runtime(options.newer.resolve(), options.tree.resolve()))
        self.results = {"machine": machine(self.runtimes, self.agent)}

    def earlier_stand_in(self, sides):
        """Return the files of a stand-in as the earlier tree has it."""
        return (*since.make_stand_in(self.earlier[0], self.options.since), sides.stand_in[-1])

    def handshakes(self, topic):
        options, found = self.options, {}
        sides = handshakes.Sides(self.programs, self.agent)
        try:
            for number, runtime in enumerate(self.runtimes):
                if topic == "since":
                    found[runtime.version] = since.measure(
                        runtime, self.earlier[number], sides, self.earlier_stand_in(sides), options)
                elif topic == "instructions":
                    few = max(2, options.handshakes // 4)
                    mutual, public = handshakes.instructions(runtime, sides, few, few + options.handshakes)
                    self.results.setdefault("public", {})[runtime.version] = public
                    found[runtime.version] = mutual
                elif topic == "board":
                    few = max(2, options.handshakes // 4)
                    found[runtime.version] = board.measure(runtime, sides, few, few + options.handshakes)
                elif topic == "quiet":
                    found[runtime.version] = quiet.measure(runtime, sides, options.visits)
                elif topic == "fresh":
                    of = handshakes.fresh(runtime, sides, 2 * options.rounds)
                    found[runtime.version] = {", ".join(map(str, key)): values for key, values in of.items()}
                else:
                    found[runtime.version] = handshakes.steady(
                        runtime, sides, options.threads, options.rounds, options.seconds, options.warm)
                    self.results.setdefault("locks", {})[runtime.version] = handshakes.contention(
                        runtime, sides, 16, 4 * options.seconds, options.warm)
        finally:
            sides.close()
        return found

    def measure(self, topic):
        options = self.options
        if topic in ("sidecar", "library"):
            ways = {"sidecar": sidecar, "library": library}[topic].ways(self.runtimes[0], self.agent)
            return sidecar.compare(ways, self.agent, options.rounds, options.sidecar_seconds, options.warm)
        if topic == "database":
            return database.compare(self.programs, self.agent, options.rounds, options.database_seconds, options.warm)
        if topic == "propagation":
            return propagation.measure(
                self.programs, self.agent, self.build / "tests" / "load_host", options.flips, options.renewals,
                options.warm)
        if topic == "start":
            return {one.version: start.measure(one, self.agent, 4 * options.rounds) for one in self.runtimes}
        return self.handshakes(topic)


def onto(earlier, results, topics):
    """Return the results of an earlier run of the same machine, for these topics to be measured anew."""
    before, now = ({**of["machine"], "date": None, "anew": None} for of in (earlier, results))
    assert before == now, f"the earlier run was on another machine: {before}, {now}"
    dates = {**earlier["machine"].get("anew", {}), **{topic: results["machine"]["date"] for topic in topics}}
    return {**earlier, "machine": {**earlier["machine"], "anew": dates}}


def write(results, figures, name):
    """Write the results and figures so far."""
    figures.mkdir(exist_ok=True)
    (figures / f"{name}.json").write_text(json.dumps(results, indent=1))
    text = report.markdown(results)
    (figures / f"{name}.md").write_text(text)
    for chart, drawn in report.charts(results).items():
        (figures / f"{name}-{chart}.svg").write_text(drawn)
    return text


def write_document(results):
    """Write the tables, and the charts that the page shows."""
    (DOCUMENT / "tables.md").write_text(BEGINNING + report.markdown(results).rstrip("\n") + "\n")
    charts = report.charts(results)
    shown = re.findall(r"\(cost/([\w.-]+)\.svg\)", PAGE.read_text())
    for name in charts.keys() & shown:
        (DOCUMENT / f"{name}.svg").write_text(charts[name])


def main():
    options, text, failed = arguments(), "", []
    with tempfile.TemporaryDirectory(prefix="consul-bench-") as folder, ExitStack() as stack:
        bench = Bench(options, Path(folder), stack)
        if options.onto:
            bench.results = onto(json.loads(options.onto.read_text()), bench.results, options.topics)
        for topic in options.topics:
            began = time.monotonic()
            try:
                bench.results[topic] = bench.measure(topic)
                text = write(bench.results, bench.build / "figures", "since" if options.since else "bench")
            except AssertionError:  # the others are worth having all the same
                traceback.print_exc()
                failed.append(topic)
            print(f"bench: {topic} took {time.monotonic() - began:.0f} s", flush=True)
    if options.document and not failed:
        write_document(bench.results)
    print(f"\n{text}")
    sys.exit(f"bench: failed: {', '.join(failed)}" if failed else 0)


main()
