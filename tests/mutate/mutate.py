# SPDX-License-Identifier: Apache-2.0
"""Break the code at each place of mutations.py, one at a time, and see that a test fails. tools/mutate runs this.

Each worker has a copy of the sources. A fault that no test sees is a survivor, and a finding about the tests.
"""

import argparse
import concurrent.futures
import os
import queue
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
from mutations import MUTATIONS  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SEEN, SURVIVED, BROKEN = "seen", "SURVIVED", "DOES NOT BUILD"


def misplaced():
    """Return the mutations whose text does not stand at exactly one place."""
    return [one for one in MUTATIONS if (ROOT / one.path).read_text().count(one.old) != 1]


class Copy:
    """The sources and a build of a worker. `alone` is the name of the only unit test that it runs, or empty."""

    alone = ""

    def __init__(self, folder):
        self.folder, self.build = folder, folder / "build" / "gcc"
        shutil.rmtree(folder, ignore_errors=True)
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        for name in filter(None, files.decode().split("\0")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
        self.run("meson", "setup", "--buildtype=debug", "-Dtests=enabled", self.build).check_returncode()
        self.run("ninja", "-C", self.build).check_returncode()

    def run(self, *argv, **more):
        return subprocess.run([str(one) for one in argv], cwd=self.folder, capture_output=True, text=True, **more)

    def try_one(self, mutation):
        """Return what became of the fault, and the test that saw it."""
        path = self.folder / mutation.path
        right = path.read_text()
        path.write_text(right.replace(mutation.old, mutation.new))
        try:
            built = self.run("ninja", "-C", self.build)
            if built.returncode != 0:
                return BROKEN, built.stdout[-2000:]
            return self.test(mutation)
        finally:
            path.write_text(right)

    def test(self, mutation):
        tests = [self.alone] if self.alone else ["--suite", "unit"]
        done = self.run("meson", "test", "-C", self.build, "--no-rebuild", *tests, "--maxfail=1", "--num-processes=1")
        if done.returncode != 0:
            return SEEN, next((line.split()[3] for line in done.stdout.splitlines()
                               if " FAIL " in line or " TIMEOUT " in line or " ERROR " in line), "?")
        if not mutation.e2e or self.alone:
            return SURVIVED, ""
        environment = {**os.environ, "CONSUL_PROVIDER_MODULE": str(self.build / "provider" / "consul.so"),
                       "CONSUL_BINARY": str(ROOT / "build" / "setup" / "consul-current"),
                       "TLSLITE": str(ROOT / "build" / "setup" / "tlslite"),
                       "CONSUL_PROVIDER_FIGURES": str(self.build / "figures")}
        done = self.run(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider",
                        *(f"tests/e2e/{name}" for name in mutation.e2e), env=environment)
        return (SEEN, mutation.e2e[0]) if done.returncode == 1 else (SURVIVED, done.stdout[-500:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only see that each text stands at one place")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="a part of the path or of the name")
    parser.add_argument("--test", default="", help="this unit test alone")
    options = parser.parse_args()
    Copy.alone = options.test
    for one in misplaced():
        print(f"{one.path}: not at one place: {one.name}")
    if options.check or misplaced():
        sys.exit(1 if misplaced() else 0)

    chosen = [one for one in MUTATIONS if options.only in f"{one.path} {one.name}"]
    for one in [one for one in chosen if one.since > ssl.OPENSSL_VERSION_INFO]:
        print(f"not tried {one.path}: {one.name} (OpenSSL {'.'.join(map(str, one.since))})", flush=True)
        chosen.remove(one)
    copies, began = queue.SimpleQueue(), time.monotonic()
    found = {SEEN: 0, SURVIVED: 0, BROKEN: 0}
    with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
        for copy in pool.map(Copy, [ROOT / "build" / "mutate" / str(i) for i in range(options.workers)]):
            copies.put(copy)

        def work(mutation):
            copy = copies.get()
            try:
                return mutation, *copy.try_one(mutation)
            finally:
                copies.put(copy)

        for mutation, fate, by in pool.map(work, chosen):
            found[fate] += 1
            print(f"{fate:8} {mutation.path}: {mutation.name} {f'({by})' if by else ''}", flush=True)
    print(f"mutate: {found[SEEN]} of {len(chosen)} faults were seen, {found[SURVIVED]} survived, "
          f"{found[BROKEN]} did not build; {time.monotonic() - began:.0f} s")
    sys.exit(0 if found[SEEN] == len(chosen) else 1)


main()
