#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Let tools of other authors talk to plain and governed servers, and print what differs and why (tools/peers)."""
import itertools
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "e2e")]
sys.dont_write_bytecode = True

import foreign_rows  # noqa: E402
import foreign_servers  # noqa: E402
import scans  # noqa: E402
import traces  # noqa: E402
import wrong_server_rows  # noqa: E402
from agent import Agent  # noqa: E402
from conftest import programs_in  # noqa: E402
from foreign_reasons import judge  # noqa: E402

SERVICE = "web"


class Table:
    """The rows that were printed, and the faults among them."""

    def __init__(self, is_long):
        self.is_long = is_long
        self.rows = self.different = 0
        self.faults = []

    def add(self, tool, program, test, plain, governed, fault, why):
        self.rows += 1
        self.different += str(plain) != str(governed)
        if fault:
            self.faults.append(f"{tool} | {program} | {test}: {fault}")
        if self.is_long or fault or why:
            values = [str(value) if len(str(value)) < 50 else str(value)[:47] + "..." for value in (plain, governed)]
            print(" | ".join([tool, program, test, *values, fault or why or ""]), flush=True)


def handshakes(table, pairs, mesh):
    for pair in pairs:
        for row, version in foreign_rows.CASES:
            if row.of_nginx and pair.name != "nginx":
                continue
            plain, governed = (row.run(mesh, version, pair.ports[side], pair.ports["plain"]) for side in foreign_servers.SIDES)
            table.add("tlslite-ng", pair.name, f"{version}, {row.name}", plain, governed, *judge(row, plain, governed))


def wrong_servers(table, clients, parties):
    for row, version in wrong_server_rows.CASES:
        plain, governed = (row.run(parties, version, clients[side]) for side in foreign_servers.SIDES)
        table.add("tlslite-ng", "a client", f"{version}, {row.name}", plain, governed,
                  *wrong_server_rows.judge(row, plain, governed))


def scan(table, pairs, mesh, folder):
    for pair in pairs:
        for party in scans.PARTIES:
            files = scans.files_of(folder, party, getattr(mesh, party, None))
            results = [scans.scan(folder, pair.ports[side], files) for side in foreign_servers.SIDES]
            for field, plain, governed in scans.differences(*results):
                fault, why = scans.judge(party, field, plain, governed)
                table.add("sslyze", pair.name, f"{party}, {field}", plain, governed, fault, why)
            table.add("sslyze", pair.name, f"{party}, all other fields", "equal", "equal", None, None)


def attack(table, pairs, mesh, folder):
    attacker = traces.Attacker(folder, mesh)
    try:
        for pair, trace in itertools.product(pairs, traces.all_traces()):
            if traces.is_for(trace, pair.name):
                plain, governed = (attacker.run(trace, pair.ports[side]) for side in foreign_servers.SIDES)
                table.add("TLS-Attacker", pair.name, f"{trace.party}, {trace.version}, {trace.name}", plain, governed,
                          *traces.judge(trace, plain, governed))
    finally:
        attacker.close()


def main(module, *options):
    """Return the status of the program: 1 after a fault."""
    table = Table("--all" in options)
    with tempfile.TemporaryDirectory(prefix="consul-provider-peers-") as name:
        folder = pathlib.Path(name)
        agent = Agent(folder / "agent")
        try:
            agent.wait_for_roots()
            mesh = foreign_rows.mesh_of(agent, SERVICE)
            with programs_in(folder, pathlib.Path(module)) as programs:
                pairs = [make(programs, agent, SERVICE) for make in foreign_servers.MAKERS]
                print("tool | server | test | plain | governed | why")
                handshakes(table, pairs, mesh)
                clients = {side: make(programs, agent) for side, make in wrong_server_rows.CLIENTS.items()}
                wrong_servers(table, clients, wrong_server_rows.parties_of(agent))
                scan(table, pairs, mesh, folder)
                renegotiating = foreign_servers.s_server_pair(programs, agent, SERVICE, "-client_renegotiation")
                attack(table, [*pairs, renegotiating], mesh, folder)
        finally:
            agent.stop()
    print(f"{table.rows} rows, {table.different} of them with a difference, {len(table.faults)} faults")
    print(*table.faults, sep="\n", end="\n" if table.faults else "")
    return 1 if table.faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
