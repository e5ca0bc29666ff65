# SPDX-License-Identifier: Apache-2.0
"""Children that are forked amid the handshakes of other threads, and hang at their exit: with the provider and without.

Arguments: the module, the program tests/bench/forks, the number of forks. The two take turns, so that the machine is the
same for both. A child that hangs is shown by gdb, where there is one.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from agent import Agent  # noqa: E402
from programs import Programs  # noqa: E402

ROUND = 100  # forks of one process
THREADS = 4
# OpenSSL ends a provider of openssl.cnf at the exit of a process, and needs one more lock for it.
ACTIVATED = """\
openssl_conf = openssl_init
[openssl_init]
providers = providers
[providers]
default = default_provider
[default_provider]
activate = 1
"""


def file_of(agent, folder, service):
    identity = agent.leaf(service)
    file = folder / f"{service}.pem"
    file.write_text(identity.certificate + identity.intermediates + identity.key)
    return file


def where(pid):
    """Return the named functions of a child that hangs, from the innermost up to its call of exit."""
    if not shutil.which("gdb"):
        return "gdb is not installed"
    text = subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "bt"], capture_output=True, text=True).stdout
    names = [name for name in re.findall(r"(?m)^#\d+ +(?:0x\w+ in )?(\w+) \(", text)
             if not re.search("futex|rwlock|exit|fork_once|main", name)]
    return " < ".join(names) or text


def measure(program, files, environment, forks):
    child = subprocess.Popen([program, *files, str(THREADS), str(forks)], env=environment, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    seen = []
    for line in child.stdout:
        words = line.split()
        if words[0] == "hung":
            seen.append(where(words[1]))
            child.stdin.write("\n")
            child.stdin.flush()
        else:
            counts = Counter({name: int(count) for name, count in zip(words[::2], words[1::2])})
    assert child.wait() == 0
    return counts, seen


def main(module, program, forks):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        agent = Agent(folder / "agent")
        programs = Programs(folder, Path(module), None, folder)
        try:
            agent.wait_for_roots()
            agent.allow("api", "web")
            files = [file_of(agent, folder, service) for service in ("web", "api")]
            environments = {
                "with": programs.environment(programs.config(agent)),
                "without, and `default` activated": programs.environment(programs.write("default.cnf", ACTIVATED)),
                "without": programs.environment(None),
            }
            totals, backtraces = {kind: Counter() for kind in environments}, Counter()
            for _ in range(0, forks, ROUND):
                for kind, environment in environments.items():
                    counts, seen = measure(program, files, environment, ROUND)
                    totals[kind] += counts
                    backtraces.update((kind, one) for one in seen)
        finally:
            agent.stop()
    print("| provider | forks | children that hang | handshakes a second |\n|---|---|---|---|")
    for kind, total in totals.items():
        assert not total["failures"], total
        rate = total["handshakes"] // max(1, total["seconds"])
        print(f"| {kind} | {total['forks']} | {total['hung']} | {rate} |")
    print("\n| provider | children | hang in |\n|---|---|---|")
    for (kind, one), count in backtraces.most_common():
        print(f"| {kind} | {count} | `{one}` |")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
