# SPDX-License-Identifier: Apache-2.0
"""This tree beside an earlier one, so that the day and the machine have no part in the difference."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from handshakes import PATIENT, SERVER_THREADS, VERSIONS, collected
from peers import Meter, Server, Side, Trickle, load

NOW, BEFORE = TREES = ("now", "before")
CASES = {"server only": False, "both sides": True}  # whether the client is ours, too
COUNTED = ("ours", "asking", "not Connect")


def make_stand_in(earlier, tree):
    """Return a stand-in's certificate and key, by the example of that tree."""
    environment = earlier.environment(earlier.config("127.0.0.1:1"))
    subprocess.run(["sh", tree / "examples/stand-in", "web", earlier.folder], env=environment, check=True)
    return earlier.folder / "web.pem", earlier.folder / "web.key"


def instructions(trees, runtime, sides, few, many):
    """Return rows with the instructions of both ends of a handshake, by callgrind."""
    public = next(iter(sides.public_files.values()))
    ways = {}
    for tree, (programs, stand_in) in trees.items():
        ways[tree] = {
            "ours": ("pair", Side(programs.config(sides.agent, **PATIENT), stand_in)),
            "asking": ("pair", Side(programs.config(sides.alone, **PATIENT), stand_in)),
            "not Connect": ("public", Side(programs.config(sides.agent), public)),
        }
    with ThreadPoolExecutor(2) as pool:
        begun = {(version, what): {
            tree: pool.submit(collected, runtime, *ways[tree][what], version, few, many, what == "ours")
            for tree in TREES} for version in VERSIONS for what in COUNTED}
        return [{"version": version, "what": what, **{tree: one.result() for tree, one in of.items()}}
                for (version, what), of in begun.items()]


def steady(trees, runtime, sides, options):
    """Return rows with [(time as a share of plain's, CPU seconds of both ends)], a pair for each round."""
    of = {"plain": sides.plain["plain"],
          **{tree: Side(programs.config(sides.agent), stand_in) for tree, (programs, stand_in) in trees.items()}}
    servers = {name: Server(runtime, side, SERVER_THREADS) for name, side in of.items()}
    trickles = [Trickle(runtime, of["plain"], servers[tree].port) for tree in TREES]
    rows = [{"version": version, "threads": threads, "case": case, NOW: [], BEFORE: []}
            for version in VERSIONS for threads in options.threads for case in CASES]

    def one(server, client, row):
        with Meter(servers[server].pid) as meter:
            done = load(runtime, "connect", of[client], servers[server].port, row["threads"], options.seconds,
                        version=row["version"])
        served = done.count + done.before + (0 if server == "plain" else Trickle.RATE * meter.seconds)
        return 1 / done.rate, meter.cpu / served + done.cpu / done.count

    try:
        time.sleep(options.warm)
        for number in range(options.rounds):
            for row in rows:
                plain, _ = one("plain", "plain", row)
                for tree in TREES[::-1] if number % 2 else TREES:
                    took, cpu = one(tree, tree if CASES[row["case"]] else "plain", row)
                    row[tree].append((took / plain, cpu))
    finally:
        for trickle in trickles:
            trickle.stop()
        for server in servers.values():
            server.stop()
    return rows


def measure(runtime, earlier, sides, stand_in, options):
    """Return the rows of both kinds. `earlier` has the module of the earlier tree, and `stand_in` is of that tree."""
    few = max(2, options.handshakes // 4)
    trees = {NOW: (runtime.programs, sides.stand_in), BEFORE: (earlier, stand_in)}
    return {"instructions": instructions(trees, runtime, sides, few, few + options.handshakes),
            "time": steady(trees, runtime, sides, options)}
