# SPDX-License-Identifier: Apache-2.0
"""A copy of the sources with a build of its own, in which faults are tried one after the other.

Only the tests that are about to run are linked anew. A test runs as `meson test` would run it. Another copy is built for
gcov, and tells the lines that a test reaches.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S, LIMIT_TIMES = 30, 10  # a test that takes longer, and that many times its time on the right code, hangs
E2E_LIMIT_S = 900
REACH_LIMIT_S = 60  # a longer test counts with the lines that its processes have told until then
PASSED, FAILED, HUNG, SKIPPED = "passed", "failed", "hung", "ran no test"


class DoesNotBuild(Exception):
    pass


@dataclass
class Test:
    name: str
    argv: list
    env: dict
    targets: list  # files for ninja to make, relative to the build
    limit_s: float
    part: str  # see part_of
    sources: list  # files of the test itself


def sources():
    """Return the names of the files of the tree."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [one for one in names.decode().split("\0") if one and (ROOT / one).is_file()]


def part_of(source):
    """Return the part of the code that a test is about, by its source: store, provider or cli. Return "" for several."""
    folders = Path(source).parts
    return folders[folders.index("unit") + 1] if "unit" in folders[:-2] else "fuzz" if "fuzz" in folders else ""


class Workshop:
    def __init__(self, folder, *options):
        self.folder, self.build = folder, folder / "build" / "gcc"
        self.sync()
        if not (self.build / "build.ninja").exists():
            shutil.rmtree(self.build, ignore_errors=True)
            done = self.run("meson", "setup", "--buildtype=plain", "-Dtests=enabled", *options, self.build)
            if done.returncode != 0:
                raise DoesNotBuild(done.stdout)
        self.make(["build.ninja"])
        self.tests = self.list_tests()

    def sync(self):
        """Bring the copy to the state of the tree. Unchanged files keep their times, so that ninja leaves them."""
        wanted = set(sources())
        for path in list(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if not name.startswith("build/") and path.is_file() and name not in wanted:
                path.unlink()
        for name in wanted:
            copy = self.folder / name
            if not copy.is_file() or copy.read_bytes() != (ROOT / name).read_bytes():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, copy)

    def run(self, *argv, **more):
        return subprocess.run([str(one) for one in argv], cwd=self.folder, capture_output=True, text=True, **more)

    def make(self, targets=()):
        done = self.run("ninja", "-j1", "-C", self.build, *targets)
        if done.returncode != 0:
            raise DoesNotBuild((done.stdout + done.stderr)[-2000:])

    def list_tests(self):
        """Return the unit tests by name, and the files of tests/e2e."""
        def introspect(what):
            return json.loads(self.run("meson", "introspect", what, self.build).stdout)

        targets = introspect("--targets")
        files = {one["id"]: [os.path.relpath(name, self.build) for name in one["filename"]] for one in targets}
        sources_of = {one["filename"][0]: sum((group.get("sources", []) for group in one["target_sources"]), [])
                      for one in targets}
        found = {}
        for test in introspect("--tests"):
            needs = sum((files[one] for one in test["depends"]), [])
            if os.path.isabs(test["cmd"][0]) and test["cmd"][0].startswith(str(self.build)):
                needs.append(os.path.relpath(test["cmd"][0], self.build))
            if any(one.endswith(":unit") for one in test["suite"]):
                own = sources_of.get(test["cmd"][0], [])
                found[test["name"]] = Test(test["name"], test["cmd"], test["env"], needs, test["timeout"],
                                           part_of(own[0]) if own else "", own)
            elif any(one.endswith(":core") for one in test["suite"]):
                setup = ROOT / "build" / "setup"
                env = {**test["env"], "CONSUL_BINARY": str(setup / "consul-current"),
                       "CONNECT_PEER": str(setup / "connect-peer"), "VAULT_SERVER": str(setup / "vault"),
                       "TLSLITE": str(setup / "tlslite")}
                for module in (ROOT / "build" / "tree-3.5").glob("usr/lib/*/ossl-modules/fips.so"):
                    env.setdefault("CONSUL_TEST_FIPS_MODULE", str(module))  # Debian 12 has none
                for path in sorted((self.folder / "tests" / "e2e").glob("test_*.py")):
                    argv = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", str(path)]
                    found[path.name] = Test(path.name, argv, env, needs, E2E_LIMIT_S, "", [])
        return found

    def try_test(self, test, seconds=0.0):
        """Build and run a test that took so many seconds of CPU before. Return what became of it, and its seconds."""
        self.make(test.targets)
        limit = max(LIMIT_S, LIMIT_TIMES * seconds) if seconds and test.limit_s != E2E_LIMIT_S else test.limit_s
        with open(self.folder / "build" / "output", "w", encoding="utf-8") as output:
            process = subprocess.Popen(test.argv, cwd=self.folder, env={**os.environ, **test.env}, stdout=output,
                                       stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True)
            status, usage = wait(process.pid, time.monotonic() + limit)
            try:
                os.killpg(process.pid, signal.SIGKILL)  # children, too: they have its session
            except ProcessLookupError:
                pass
            if status is None:
                process.wait()
                return HUNG, limit
            process.returncode = os.waitstatus_to_exitcode(status)
        fate = SKIPPED if process.returncode == 77 else PASSED if process.returncode == 0 else FAILED
        if fate == PASSED and test.limit_s == E2E_LIMIT_S:
            said = (self.folder / "build" / "output").read_text(encoding="utf-8", errors="replace")
            fate = PASSED if re.search(r"\b[1-9][0-9]* passed", said) else SKIPPED
        return fate, usage.ru_utime + usage.ru_stime

    def reach(self, name):
        """Run a test on the right code. Return its seconds, and the lines that it reached, by file. The build is for gcov."""
        for old in self.build.rglob("*.gcda"):
            old.unlink()
        _, seconds = self.try_test(self.tests[name], REACH_LIMIT_S / LIMIT_TIMES)
        counts = [one for part in ("store", "provider", "cli") for one in (self.build / part).rglob("*.gcda")]
        reached = {}
        for row in self.run("gcov", "--json-format", "--stdout", *counts).stdout.splitlines() if counts else []:
            told = json.loads(row)
            for file in told["files"]:
                path = os.path.relpath(os.path.join(told["current_working_directory"], file["file"]), self.folder)
                reached.setdefault(path, set()).update(one["line_number"] for one in file["lines"] if one["count"] > 0)
        return seconds, {path: sorted(lines) for path, lines in reached.items() if lines and not path.startswith("..")}


def wait(pid, until):
    """Return the status and the usage of a process at its end, or None twice."""
    while time.monotonic() < until:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended != 0:
            return status, usage
        time.sleep(0.01)
    return None, None
