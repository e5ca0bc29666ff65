# SPDX-License-Identifier: Apache-2.0
"""The measured results, as Markdown and as charts."""

import statistics

import database
import plots
import quiet
import since
import start
from figures import line, percentile
from handshakes import CASES, FIRST, MUTUAL, PUBLIC_CHAINS, VERSIONS
from sidecar import CONNECTIONS_A_SECOND, HELD, PLAIN, REQUESTS_A_SECOND, THREADS

OTHERS = [case for case in CASES if case != "plain"]
PERCENTILES = (("median", "p50"), ("p90", "p90"), ("p99", "p99"))


def spread(values, form="{:.0f}"):
    """Median (least-most)."""
    middle, least, most = (form.format(f(values)) for f in (statistics.median, min, max))
    return middle if least == most else f"{middle} ({least}{' to ' if '+' in form else '-'}{most})"


def value(values, unit=1):
    return plots.Value(*(f(values) * unit for f in (statistics.median, min, max)))


def table(title, heading, rows, said=""):
    lines = [f"## {title}", ""] + ([said, ""] if said else [])
    return "\n".join([*lines, line(heading), "|" + len(heading) * "---|", *map(line, rows)]) + "\n"


# ---- handshakes ----

def shares(row, plain):
    """Time as a share of plain's, in each round."""
    return [p["rate"] / r["rate"] for r, p in zip(row["rounds"], plain["rounds"])]


def by_setting(rows):
    """Return {(version, threads): {case: row}}."""
    found = {}
    for row in rows:
        found.setdefault((row["version"], row["threads"]), {})[row["case"]] = row
    return found


def instruction_tables(results):
    rows = []
    for name, versions in results["instructions"].items():
        for version, of in versions.items():
            rows.append((name, version, *(f"{of[side] / 1e6:.2f} M" for side in MUTUAL),
                         *(f"{of[ours] / of[other]:.2f}" for ours in ("asking", "ours")
                           for other in ("plain", "tuned"))))
    yield table("Instructions of a handshake", ("OpenSSL", "TLS", "plain", "plain, NO_AUTO_CHAIN", "ours, asking",
                "ours", "asking, of plain", "of NO_AUTO_CHAIN", "ours, of plain", "of NO_AUTO_CHAIN"), rows,
                "Of both sides together (callgrind).")
    rows = [(chain, name, version, f"{of['without'] / 1e6:.2f} M",
             *(f"{of[case] / of['without']:.4f}" for case in ("legacy", "loaded", "a service")))
            for name, chains in results["public"].items() for chain, versions in chains.items()
            for version, of in versions.items()]
    yield table("Instructions of a handshake that is not Connect",
                ("keys of the chain", "OpenSSL", "TLS", "without the provider", "with OpenSSL's `legacy` in its place",
                 "with it, no service", "with `service`"), rows,
                "An ordinary server certificate, verified by name, and no client certificate; as a share of those "
                "without the provider, which is at both ends. (With `service`, `inbound` is off, as both are one "
                "process.)")


def board_table(results):
    rows = [(name, version, *(f"{of[side][1]:.0f}" for side in of), *(f"{of[side][1] / of[side][0]:.5f}" for side in of))
            for name, versions in results["board"].items() for version, of in versions.items()]
    yield table("Status and metrics", ("OpenSSL", "TLS", "instructions, asking", "instructions, busy", "of all, asking",
                "of all, busy"), rows,
                "The instructions by which both ends of a handshake show themselves to `consul-tls status` (callgrind).")


START_FIGURES = {"M instructions": lambda way: way["instructions"] / 1e6,
                 "ms of CPU time": lambda way: 1000 * statistics.median(way["cpu"])}


def start_table(results):
    rows = [(name, unit, *(f"{figure(of[way]):.2f}" for way in of),
             *(f"{figure(of[way]) / figure(of[start.WITHOUT]):.2f}" for way in of if way != start.WITHOUT))
            for name, of in results["start"].items() for unit, figure in START_FIGURES.items()]
    ways = ("with OpenSSL's `legacy` in its place", "with it, no service", "with `service`")
    yield table("A program that does no TLS", ("OpenSSL", "", "without the provider", *ways,
                *(f"{way}, of without" for way in ways)), rows, "`openssl x509 -help`, start and end.")


def steady_tables(results):
    for name, rows in results["steady"].items():
        settings = by_setting(rows)

        def cells(show, cases=CASES, of=settings):
            return [(*setting, *(show(found[case], found["plain"]) for case in cases))
                    for setting, found in of.items()]

        yield table(f"Handshakes a second, OpenSSL {name}", ("TLS", "threads", *CASES), cells(
            lambda row, _: spread([one["rate"] for one in row["rounds"]])), "Median (least-most) of the rounds.")
        yield table(f"Their time as a share of plain's, OpenSSL {name}", ("TLS", "threads", *OTHERS), cells(
            lambda row, plain: spread(shares(row, plain), "{:.2f}"), OTHERS), "Round by round.")
        yield table(f"CPU time of one, server + client, in µs, OpenSSL {name}", ("TLS", "threads", *CASES), cells(
            lambda row, _: " + ".join(f"{1e6 * statistics.median(one[end] for one in row['rounds']):.0f}"
                                      for end in ("server cpu", "client cpu"))))


def since_tables(results):
    of = {name: found["instructions"] for name, found in results["since"].items()}
    yield table("Instructions of a handshake, since an earlier tree", ("OpenSSL", "TLS", "", "before", "now", "of before"), [
        (name, row["version"], row["what"], *(f"{row[tree] / 1e6:.3f} M" for tree in (since.BEFORE, since.NOW)),
         f"{row[since.NOW] / row[since.BEFORE]:.4f}") for name, rows in of.items() for row in rows])
    of = {name: found["time"] for name, found in results["since"].items()}
    yield table("Time and CPU time, since an earlier tree", (
        "OpenSSL", "TLS", "threads", "ours", "before, of plain", "now, of plain", "CPU time before, µs", "now"), [
        (name, row["version"], row["threads"], row["case"],
         *(spread([took for took, _ in row[tree]], "{:.2f}") for tree in (since.BEFORE, since.NOW)),
         *(spread([1e6 * cpu for _, cpu in row[tree]]) for tree in (since.BEFORE, since.NOW)))
        for name, rows in of.items() for row in rows], "All side by side, in the median of the rounds.")


def lock_table(results):
    yield table("The lock of a busy server", ("OpenSSL", "threads", "handshakes", "taken in each", "of 1000 times "
                "another thread had it"), [
        (name, of["threads"], of["handshakes"], f"{of['taken'] / of['handshakes']:.1f}",
         f"{1000 * of['waited for'] / of['taken']:.1f}") for name, of in results["locks"].items()],
        "TLS 1.3, with only the server ours; its thread that watches is counted, too.")


QUIET = [case for case in quiet.NAMES if case != "plain"]


def quiet_table(results):
    rows = [(name, *(f"{1000 * of[case]['median']:.2f}" for case in quiet.NAMES),
             *(f"{of[case]['median'] / of['plain']['median']:.2f}" for case in QUIET))
            for name, of in results["quiet"].items()]
    yield table("A handshake with a quiet server, in ms", ("OpenSSL", *quiet.NAMES, *(f"{case}, of plain" for case in QUIET)),
                rows, "A connection, a request and its answer, TLS 1.3, in the median. The client comes each "
                f"{1 / quiet.RATE:.1f} seconds. *Asking* is a process that may not watch.")


def fresh_table(results):
    rows = []
    for name, found in results["fresh"].items():
        for what in ("client", "server"):
            for number in FIRST:
                plain, ours = ([1000 * one for one in found[f"{what}, {case}, {number}"]] for case in ("plain", "ours"))
                rows.append((name, what, number, spread(plain, "{:.1f}"), spread(ours, "{:.1f}"),
                             f"{statistics.median(ours) - statistics.median(plain):+.1f}"))
    yield table("The first handshakes of a new process, in ms", ("OpenSSL", "what is new", "handshakes", "plain",
                "ours", "more"), rows,
                "From the start of the program to the end of so many handshakes, one after the other, TLS 1.3. The "
                "other side is plain; where the server is new, the plain client is started after it.")


# ---- the sidecar, and the library ----

def figures_of(row, verb, figure, unit=1):
    return [one[verb][figure] * unit for one in row["rounds"]]


def added(row, plain, verb, figure):
    """Return the milliseconds more than plain TCP, round by round."""
    return [1000 * (one[verb][figure] - other[verb][figure])
            for one, other in zip(row["rounds"], plain["rounds"])]


def ways_table(title, said, ways):
    plain = ways[0]
    rows = []

    def row(what, show):
        rows.append((what, *map(show, ways)))

    def latency(verb):
        for figure, name in PERCENTILES:
            yield name, lambda way, figure=figure: (
                spread(figures_of(way, verb, figure, 1000), "{:.2f}") if way is plain
                else spread(added(way, plain, verb, figure), "{:+.2f}"))

    row(f"connections a second, {THREADS} at a time", lambda way: spread(figures_of(way, "connect", "rate")))
    row("CPU of a connection, µs", lambda way: spread(figures_of(way, "connect", "cpu", 1e6)))
    row("of that the server's end", lambda way: spread(figures_of(way, "connect", "server cpu", 1e6)))
    row("CPU of the agent meanwhile, for each, µs", lambda way: spread(figures_of(way, "connect", "agent cpu", 1e6)))
    for name, show in latency("connect at a rate"):
        row(f"a connection, {CONNECTIONS_A_SECOND} a second, {name}, ms", show)
    row(f"requests a second, on {THREADS} kept connections", lambda way: spread(figures_of(way, "request", "rate")))
    row("CPU of a request, µs", lambda way: spread(figures_of(way, "request", "cpu", 1e6)))
    for name, show in latency("request at a rate"):
        row(f"a request, {REQUESTS_A_SECOND} a second, {name}, ms", show)
    row("memory with one connection, kB", lambda way: way["memory"]["with one"])
    row("of that the server's end", lambda way: way["memory"]["server with one"])
    row(f"memory for each of {HELD} connections, kB", lambda way: f"{way['memory']['for each']:.0f}")
    yield table(title, ("", *(way["way"] for way in ways)), rows,
                f"{said} A request has 64 bytes, and so has its answer. Latency is connecting, request and answer, or "
                "the request alone; but for plain TCP it is what is added to plain TCP's. CPU and memory (PSS) are of "
                "both programs and what runs between them.")


def sidecar_table(results):
    return ways_table("Beside a sidecar", "The same two programs each time.", results["sidecar"])


def database_table(results):
    ways = results["database"]

    def row(what, figure, unit=1, form="{:.0f}"):
        return (what, *(spread([unit * one[figure] for one in way["rounds"]], form) for way in ways))

    yield table("PostgreSQL, with a connection for each transaction", ("", *(way["way"] for way in ways)), [
        row("connections a second", "rate"),
        row("CPU of a connection, µs", "cpu", 1e6),
        row("of that PostgreSQL", "server cpu", 1e6),
        row("of that pgbench", "client cpu", 1e6),
        row("of that proxies", "proxies cpu", 1e6),
        row("CPU of the agent meanwhile, for each, µs", "agent cpu", 1e6),
        row("requests to the agent, for each", "questions", 1, "{:.2f}"),
    ], f"`pgbench -C`, {database.CLIENTS} clients at a time, `SELECT 1`, `trust`. A process of PostgreSQL serves each. "
       "Where a connection stays, its process watches for all others.")


def library_table(results):
    return ways_table("Beside Consul's Go library",
                      "A program in C for plain TCP and for what is ours, and one in Go with the same duties.",
                      results["library"])


# ---- propagation ----

def propagation_groups(results):
    found = {}
    for row in results["propagation"]:
        found.setdefault((row["what"], row["server"]), []).append(row)
    return found


def propagation_table(results):
    rows = []
    for (what, server), of in propagation_groups(results).items():
        lags, late = [one["lag"] for one in of], [one["late"] for one in of]
        median, p99 = (f"{1000 * percentile(lags, share):.1f}" for share in (0.5, 0.99))
        rows.append((what, server, len(of), median, p99,
                     sum(one > 0 for one in late), f"{1000 * max(late):.1f}"))
    yield table("From a change to the first handshake that obeys it, in ms", ("change", "server", "n", "median", "p99",
                "handshakes begun meanwhile that did not: times", "the last of them after"), rows,
                "A change is there when the agent acknowledges an intention, or gives out a new leaf. The busy server "
                "has a client every ten milliseconds, the quiet one is visited then.")


# ---- all together ----

def memory_of(results, name):
    return next(way["memory"]["with one"] for way in results["sidecar"] if way["way"] == name)


def promises(results):
    """Return the rows of all goals and their results, in all settings with an OpenSSL."""
    names = [".".join(name.split()[1].split(".")[:2]) for name in results["machine"]["openssl"]]
    rows = []

    def row(what, target, *found):
        if any(found):
            rows.append((what, f"≤ {target}", *(judge(one, target) if one else "" for one in found)))

    def judge(one, target):
        return f"{min(one):.4g}-{max(one):.4g}{'' if max(one) <= target else ': no'}"

    def ratios(versions, over, under):
        return [[of[over] / of[under] for of in versions(name).values()] for name in names]

    def mutual(name):
        return results.get("instructions", {}).get(name, {})

    def starts(figure):
        return [[figure(of[start.LOADED]) / figure(of[start.WITHOUT])] if of else []
                for of in (results.get("start", {}).get(name, {}) for name in names)]

    def walls(case):
        return [[statistics.median(shares(found[case], found["plain"]))
                 for found in by_setting(results.get("steady", {}).get(name, [])).values()] for name in names]

    for side, when, target in (("ours", "", 0.60), ("asking", ", asking each time", 0.65)):
        row(f"instructions, of plain{when}", target, *ratios(mutual, side, "plain"))
        row(f"instructions, of plain with NO_AUTO_CHAIN{when}", 0.90, *ratios(mutual, side, "tuned"))
    row("instructions for status and metrics, of all of a handshake", 0.005, *(
        [of[side][1] / of[side][0] for of in results.get("board", {}).get(name, {}).values() for side in of]
        for name in names))
    for unit, figure in START_FIGURES.items():
        row(f"{unit} of a program that does no TLS, no service", 1.15, *starts(figure))
    row("wall time of plain, server only ours", 0.85, *walls("ours, server only"))
    row("wall time of plain, both sides ours", 0.70, *walls("ours, both sides"))
    row("wall time of plain, a quiet server", 1.10, *(
        [of[case]["median"] / of["plain"]["median"] for case in QUIET] if of else []
        for of in (results.get("quiet", {}).get(name, {}) for name in names)))
    for chain in PUBLIC_CHAINS:
        row(f"instructions of TLS that is not Connect, {chain}", 1.005, *ratios(
            lambda name, chain=chain: results.get("public", {}).get(name, {}).get(chain, {}), "a service", "without"))
    if "sidecar" in results:
        row("memory of an end that has served, more than plain's, kB", 700, [
            (memory_of(results, "ours") - memory_of(results, PLAIN)) / 2])
    if "database" in results:
        row("requests to the agent for each connection to PostgreSQL", 1, [
            statistics.median(one["questions"] for one in way["rounds"])
            for way in results["database"] if way["way"] == "ours"])
    if "propagation" in results:
        row("propagation, p99, ms", 100, [1000 * percentile([one["lag"] for one in of], 0.99)
                                          for of in propagation_groups(results).values()])
    if rows:
        heading = ("", "target", *(f"OpenSSL {name}" for name in names))
        yield table("The targets", heading, [(*one, *[""] * (len(heading) - len(one))) for one in rows],
                    "Least and most of all settings.")


SECTIONS = {"start": start_table, "instructions": instruction_tables, "board": board_table, "steady": steady_tables, "locks": lock_table, "fresh": fresh_table, "quiet": quiet_table,
            "sidecar": sidecar_table, "library": library_table, "database": database_table,
            "propagation": propagation_table, "since": since_tables}


def markdown(results):
    machine = results["machine"]
    later = "".join(f" {topic.capitalize()} again {date}." for topic, date in machine.get("anew", {}).items())
    parts = [f"Measured {machine['date']}: {machine['cores']} cores of {machine['cpu']}, Linux {machine['kernel']}, "
             f"{', '.join(machine['openssl'])}, {machine['consul']}.{later}\n", *promises(results)]
    for name, section in SECTIONS.items():
        if name in results:
            parts += section(results)
    return "\n".join(parts)


def charts(results):
    """Return {file name: SVG}."""
    found = {}
    if "instructions" in results:
        groups = [(name, version) for name in results["instructions"] for version in VERSIONS]
        found["instructions"] = plots.bars(
            "Instructions of a handshake, both sides", "millions", [f"OpenSSL {n}, TLS {v}" for n, v in groups],
            {title: [plots.Value(results["instructions"][n][v][side] / 1e6) for n, v in groups]
             for title, side in zip(("plain", "plain, NO_AUTO_CHAIN", "ours, asking", "ours"), MUTUAL)})
    for name, rows in results.get("steady", {}).items():
        settings = by_setting(rows)
        for version in VERSIONS:
            those = {threads: of for (v, threads), of in settings.items() if v == version}
            found[f"handshakes-{name}-{version}"] = plots.lines(
                f"Handshakes a second, OpenSSL {name}, TLS {version}", "handshakes/s", list(those),
                {case: [value([one["rate"] for one in of[case]["rounds"]]) for of in those.values()] for case in CASES},
                "threads")
    for name, of in results.get("fresh", {}).items():
        found[f"first-{name}"] = plots.bars(
            f"The first handshakes of a new process, OpenSSL {name}", "ms",
            [f"{what}: {number}" for what in ("client", "server") for number in FIRST],
            {case: [value(of[f"{what}, {case}, {number}"], 1000) for what in ("client", "server") for number in FIRST]
             for case in ("plain", "ours")})
    if "quiet" in results:
        found["quiet"] = plots.bars(
            "A handshake with a quiet server", "ms", [f"OpenSSL {name}" for name in results["quiet"]],
            {case: [plots.Value(1000 * of[case]["median"]) for of in results["quiet"].values()] for case in quiet.NAMES})
    if "database" in results:
        found["database"] = plots.bars(
            "CPU time of a connection to PostgreSQL (pgbench -C)", "ms", ["all programs", "the agent"],
            {way["way"]: [value([one[figure] for one in way["rounds"]], 1000) for figure in ("cpu", "agent cpu")]
             for way in results["database"]})
    for topic in ("sidecar", "library"):
        if topic in results:
            found.update(ways_charts(topic, results[topic]))
    if "propagation" in results:
        groups = propagation_groups(results)
        found["propagation"] = plots.bars(
            "From a change to the first handshake that obeys it", "ms",
            [f"{what}\n{server}" for what, server in groups],
            {name: [plots.Value(1000 * percentile([one["lag"] for one in of], share)) for of in groups.values()]
             for name, share in (("median", 0.5), ("p99", 0.99))})
    return found


def ways_charts(topic, ways):
    names = [way["way"] for way in ways]
    yield f"{topic}-connections", plots.bars(
        "Connections a second", "connections/s", [""],
        {way["way"]: [value(figures_of(way, "connect", "rate"))] for way in ways[1:]})
    yield f"{topic}-requests", plots.bars(
        "Requests a second on kept connections", "requests/s", [""],
        {way["way"]: [value(figures_of(way, "request", "rate"))] for way in ways})
    for verb, what in (("connect at a rate", "connection"), ("request at a rate", "request")):
        yield f"{topic}-latency-{what}", plots.bars(
            f"Latency of a {what}, more than plain TCP's", "ms", [name for _, name in PERCENTILES],
            {way["way"]: [plots.Value(max(0.0, statistics.median(added(way, ways[0], verb, figure))))
                          for figure, _ in PERCENTILES] for way in ways[1:]})
    for verb, what in (("connect", "connection"), ("request", "request")):
        yield f"{topic}-cpu-{what}", plots.bars(
            f"CPU time of a {what}, all programs", "µs", [""],
            {way["way"]: [value(figures_of(way, verb, "cpu", 1e6))] for way in ways})
    yield f"{topic}-memory", plots.bars(
        "Memory (PSS) of all programs, with one connection", "kB", [""],
        {name: [plots.Value(way["memory"]["with one"])] for name, way in zip(names, ways)})
