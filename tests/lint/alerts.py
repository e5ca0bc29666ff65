#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Check the alerts and the dashboard in examples/.

Each metric and each reason in them is one that the command prints. Each alert has its runbook, and doc/runbooks.md has no other. By
promtool, Prometheus reads the rules. A healthy server sets off no alert, and each fault sets off its own.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "examples" / "prometheus-alerts.yml"
DASHBOARD = ROOT / "examples" / "grafana-dashboard.json"
RUNBOOKS = ROOT / "doc" / "runbooks.md"
METRICS = ROOT / "cli" / "metrics.c"
REASONS = ROOT / "store" / "base" / "error.c"

FAMILY = 'job="j",instance="i",program="nginx",pid="7"'
REFUSED = f'consul_provider_handshakes_refused_total{{{FAMILY},reason="%s"}}'
ADMITTED = f'consul_provider_peers_admitted_total{{{FAMILY},peer="client",by="%s"}}'
LEAF = f'consul_provider_leaf_expiry_timestamp_seconds{{{FAMILY},id="spiffe://x/svc/web"}}'
TIME = 190  # minutes, a sample each


def of(name):
    return f"consul_provider_{name}{{{FAMILY}}}"


def host(name):
    return f'consul_provider_{name}{{job="j",instance="i"}}'


# A server with ten handshakes a second. Prometheus' notation: the first value, the step, the number of steps.
HEALTH = {
    of("processes"): "3x200",
    of("start_timestamp_seconds"): "1x200",
    of("refuses_all"): "0x200",
    of("agent_last_answer_timestamp_seconds"): "0+60x200",
    of("agent_last_loss_timestamp_seconds"): "0x200",
    of("watching_processes"): "2x200",
    of("slots_given_up_total"): "0x200",
    LEAF: "200000x200",
    ADMITTED % "question": "0+600x200",
    ADMITTED % "last-known verdict": "0x200",
    REFUSED % "handshake failed": "0+100x200",
    REFUSED % "peer denied by Consul": "0+1x200",
    REFUSED % "Consul agent did not answer in time": "0x200",
    host("other_versions"): "0x200",
    host("unreadable_processes"): "0x200",
}
IDLE = {ADMITTED % "question": "600x200", REFUSED % "handshake failed": "0x200"}

# For each fault, the alerts that it sets off and the series that differ. No values are a series that has ended.
FAULTS = [
    ([], {}),
    ([], {LEAF: "1x200", **IDLE, REFUSED % "peer denied by Consul": "0x200"}),  # an idle program shows an old leaf
    ([], {of("agent_last_loss_timestamp_seconds"): "6000x200", of("agent_last_answer_timestamp_seconds"): "5000x200"}),
    (["RefusesAll"], {of("refuses_all"): "1x200"}),
    (["Gone"], {name: values.replace("x200", "x180") for name, values in HEALTH.items() if FAMILY in name}),
    (["AgentLost"], {of("agent_last_answer_timestamp_seconds"): "0+60x180 10800x20",
                     of("agent_last_loss_timestamp_seconds"): "0x180 10860+60x20"}),
    (["LastKnown"], {ADMITTED % "last-known verdict": "0x187 10+10x20"}),
    (["AgentFails"], {REFUSED % "Consul agent did not answer in time": "0x150 1+1x50"}),
    (["TokenRefused"], {REFUSED % "Consul agent refused the request": "0x180 1+1x20"}),
    (["LeafEnds"], {LEAF: f"{TIME * 60 + 1800}x200"}),
    (["LeafEnds", "LeafExpired"], {LEAF: f"{TIME * 60 - 60}x200"}),
    (["Denials"], {REFUSED % "peer denied by Consul": "0+10x200"}),
    (["Untrusted"], {REFUSED % "peer certificate is not trusted by the Consul roots": "0+10x200"}),
    (["Displaced"], {REFUSED % "peer was not verified by Consul Connect": "0x187 1+1x20"}),
    (["Asks"], {of("watching_processes"): "0x200", of("slots_given_up_total"): "2x200"}),
    (["NotRestarted"], {host("other_versions"): "1x3000"}),
    (["Unseen"], {host("unreadable_processes"): "4x200"}),
    (["NoMetrics"], {host("other_versions"): "0x178", host("unreadable_processes"): "0x178"}),
]


def test_of(alerts, changed):
    """Return a test of promtool: with these changed series, these alerts are firing, and no other."""
    time = 1600 if "NotRestarted" in alerts else TIME
    series = {**HEALTH, **changed}
    if time != TIME:
        series = changed
    return {
        "name": ", ".join(alerts) or "no alert",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{time}m",
            "exp_samples": [{"labels": f'{{alertname="ConsulProvider{name}"}}', "value": 1} for name in alerts],
        }],
    }


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    return [] if done.returncode == 0 else [done.stdout + done.stderr]


def faults_of_promtool():
    found = promtool("check", "rules", str(RULES))
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        tests = [test_of(*fault) for fault in FAULTS]
        json.dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}, file)  # JSON is YAML
        file.flush()
        found += promtool("test", "rules", file.name)
    return found


def faults_of_reasons():
    """Return the reasons in the rules and in the tests here that no refusal has."""
    known = re.findall(r'TEXT\(\w+, "([^"]+)"\)', REASONS.read_text())
    used = [match[1] for match in re.finditer(r'reason="([^"]+)"', RULES.read_text())]
    used += [name for name in re.findall(r'REFUSED % "(\w[^"]+)"', pathlib.Path(__file__).read_text())]
    found = [f"no refusal has the reason {reason!r}" for reason in used if reason not in known]
    for pattern in re.findall(r'reason=~"([^"]+)"', RULES.read_text()):
        matched = [reason for reason in known if re.fullmatch(pattern, reason)]
        if len(matched) != pattern.count("|") + 1:
            found.append(f"{pattern!r} matches only {matched}")
    return found


def main():
    """Print the faults. Return 1 where there is one."""
    printed = set(re.findall(r'(?m)^    \{"(\w+)", "(?:gauge|counter)"', METRICS.read_text()))
    printed |= set(re.findall(r'print_type\(out, "consul_provider_(\w+)"', METRICS.read_text()))
    found = [] if len(printed) > 15 else [f"{METRICS.name}: only {sorted(printed)} found"]
    page = (ROOT / "doc" / "consul-tls.md").read_text()
    found += [f"doc/consul-tls.md lacks {name}" for name in sorted(printed) if f"`consul_provider_{name}`" not in page]
    for file in (RULES, DASHBOARD, RUNBOOKS):
        used = set(re.findall(r"consul_provider_(\w+)", file.read_text()))
        found += [f"{file.name}: the command prints no consul_provider_{name}" for name in sorted(used - printed)]
    alerts = re.findall(r"(?m)^ +- alert: (\w+)$", RULES.read_text())
    runbooks = re.findall(r"(?m)^## (ConsulProvider\w+)$", RUNBOOKS.read_text())
    if alerts != runbooks:
        found.append(f"alerts {alerts}, but runbooks {runbooks}")
    linked = re.findall(r"runbook: doc/runbooks\.md#(\w+)", RULES.read_text())
    if linked != [name.lower() for name in alerts]:
        found.append(f"the runbooks that the alerts name are {linked}")
    tested = {f"ConsulProvider{name}" for names, _ in FAULTS for name in names}
    if tested != set(alerts):
        found.append(f"no fault sets off {set(alerts) - tested}")
    found += faults_of_reasons()
    found += faults_of_promtool()
    print("\n".join([f"{len(alerts)} alerts, {len(printed)} metrics", *found]))
    return 1 if found else 0


sys.exit(main())
