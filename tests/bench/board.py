# SPDX-License-Identifier: Apache-2.0
"""The cost of `consul-tls status` and `consul-tls metrics` to a handshake: the instructions of the board in it."""

import re
import subprocess

from handshakes import PATIENT, VERSIONS

# The functions by which the provider counts and shows, with all that they call. Each event passes the last one.
SHOWN_BY = ("prov_board_count_client", "prov_board_count_server", "prov_board_count_refused", "prov_board_show_leaf",
            "consul_event_tell")


def profile(runtime, side, version, count, is_busy):
    """Return two numbers of instructions: of a whole run, and of the board in it."""
    out = runtime.programs.path("callgrind")
    argv, environment = runtime.peer("pair", side, count, version=version, before=[
        "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"])
    if is_busy:
        environment = {**environment, "LD_PRELOAD": str(runtime.paced_clock)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    text = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", "--show-percs=no", out],
                          capture_output=True, text=True, check=True).stdout
    found = {}  # a function is listed by each of its files, and the whole is the greatest number
    for line in text.splitlines():
        match = re.match(r"\s*([\d,]+)\s+\S*?:(\w+)", line)
        if match and match[2] in SHOWN_BY:
            found[match[2]] = max(found.get(match[2], 0), int(match[1].replace(",", "")))
    assert set(SHOWN_BY) - {"prov_board_count_refused"} <= found.keys(), text
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1)), sum(found.values())


def measure(runtime, sides, few, many):
    """Return {version: {side: (instructions of a handshake of both ends, those of the board)}}."""
    ways = sides.of(runtime, **PATIENT)
    found = {}
    for version in VERSIONS:
        for name in ("asking", "ours"):
            is_busy = name == "ours"
            count = few + (10 if is_busy else 1) * (many - few)
            first, last = (profile(runtime, ways[name], version, number, is_busy) for number in (few, count))
            found.setdefault(version, {})[name] = [(after - before) / (count - few) for before, after in zip(first, last)]
    return found
