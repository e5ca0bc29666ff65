# SPDX-License-Identifier: Apache-2.0
"""Break the code at each place of mutations.py, one at a time, and see that a test fails. tools/mutate runs this.

A fault meets the likeliest tests first. The file caught.txt has the test that caught it last time. Then come the tests
that reach the lines of the fault, as gcov tells, and the other unit tests. The named files of tests/e2e come last. A
test that is not in caught.txt has to fail twice. On the right code, a test that has caught a fault has to run, and to pass.

A fault without a test that fails is a survivor, and a finding about the tests. A fault that does not compile is an
error. The same is so for a text that stands at no place, or at several. A run that was stopped goes on where it
was, unless the tree has changed.
"""

import argparse
import concurrent.futures
import fcntl
import hashlib
import json
import os
import queue
import re
import ssl
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True
from mutations import MUTATIONS  # noqa: E402
from workshop import FAILED, HUNG, PASSED, ROOT, DoesNotBuild, Workshop, sources  # noqa: E402

CAUGHT_BY = Path(__file__).with_name("caught.txt")  # a line is a test, a tab, and the fault that it caught
STATE = ROOT / "build" / "mutate"
QUICK_S, QUICK_TESTS = 5, 20  # the longest test of a quick run, and the number of tests for a fault
NEW_S = 1  # the time of a test that has never run
CAUGHT, SURVIVED, BROKEN, FALSE = "caught", "SURVIVED", "DOES NOT BUILD", "FAILS WITHOUT IT"


def title(mutation):
    return f"{mutation.path}: {mutation.name}"


def misplaced():
    """Return the mutations that have no place, several places, or the title of another mutation."""
    titles = Counter(title(one) for one in MUTATIONS)
    return [one for one in MUTATIONS if (ROOT / one.path).read_text(encoding="utf-8").count(one.old) != 1
            or one.old == one.new or titles[title(one)] != 1]


def read_caught():
    lines = CAUGHT_BY.read_text(encoding="utf-8").splitlines() if CAUGHT_BY.exists() else []
    return {fault: test for test, fault in (line.split("\t") for line in lines)}


def write_caught(caught):
    CAUGHT_BY.write_text("".join(f"{caught[title(one)]}\t{title(one)}\n" for one in MUTATIONS if title(one) in caught),
                      encoding="utf-8")


class Results:
    """The seconds of the tests and the fates of the faults, on this very tree. A file keeps them.

    `earlier` has the seconds of the tests on any tree.
    """

    def __init__(self, again):
        digest = hashlib.sha256()
        for name in sorted(one for one in sources() if not one.startswith("tests/mutate/")):
            digest.update(f"{name}\0".encode() + (ROOT / name).read_bytes() + b"\0")
        self.tree, self.path = digest.hexdigest(), STATE / "results"
        self.seconds, self.fates, self.earlier = {}, {}, {}
        STATE.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and not again:
            for row in map(json.loads, self.path.read_text(encoding="utf-8").splitlines()):
                if "test" in row:
                    self.earlier[row["test"]] = row["is"]
                if row["tree"] == self.tree:
                    (self.seconds if "test" in row else self.fates)[row.get("test") or row["fault"]] = row["is"]
        else:
            self.path.write_text("", encoding="utf-8")

    def add(self, **row):
        if "test" in row:
            self.earlier[row["test"]] = row["is"]
        (self.seconds if "test" in row else self.fates)[row.get("test") or row["fault"]] = row["is"]
        with open(self.path, "a", encoding="utf-8") as file:
            print(json.dumps({"tree": self.tree, **row}), file=file)

    @staticmethod
    def key(mutation):
        return hashlib.sha256(f"{mutation.path}\0{mutation.old}\0{mutation.new}".encode()).hexdigest()


class Reach:
    """The seconds of each unit test, and the lines that it reaches. A file keeps them until the test changes. The lines may
    be those of an earlier tree. They only tell which test is likely to see a fault.
    """

    def __init__(self, path):
        self.path = path
        self.of_test = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def gather(self, tests):
        """Find the lines of the tests that are not known."""
        shop = Workshop(STATE / "reach", "-Db_coverage=true")
        for name in [one for one in shop.tests if one in tests]:
            digest = hashlib.sha256(b"".join(Path(one).read_bytes() for one in shop.tests[name].sources)).hexdigest()
            if self.of_test.get(name, [""])[0] != digest:
                self.of_test[name] = digest, *shop.reach(name)
                self.path.write_text(json.dumps(self.of_test), encoding="utf-8")

    def tests(self, mutation):
        """Return the names of the tests that reach a fault."""
        text = (ROOT / mutation.path).read_text(encoding="utf-8")
        start = text.index(mutation.old)
        first = text.count("\n", 0, start) + 1
        last = first + mutation.old.rstrip("\n").count("\n")
        lines = {name: set(files.get(mutation.path, ())) for name, (_, _, files) in self.of_test.items()}
        told = set().union(*lines.values())
        place = told & set(range(first, last + 1)) or {max((one for one in told if one < first), default=0)}
        return {name for name, those in lines.items() if those & place}


def words(text):
    """Return the words of a name, without their plural."""
    return {one.rstrip("s") for one in re.split(r"\W|_", text.lower()) if len(one) > 3}


def order(mutation, caught, seconds, tests, reaching, quick):
    """Return the names of the tests. The known one comes first, then those that reach the fault, the others, and e2e.

    A test that shares a word with the fault goes before the quick ones.
    """
    part, of_file = mutation.path.split("/")[0], Counter()
    for fault, test in caught.items():
        of_file[test] += fault.startswith(f"{mutation.path}: ")
    units = [one for one in tests if not one.endswith(".py")]
    units = [one for one in units if part == "store" or tests[one].part in ("", part)]  # the store serves the others
    named = words(title(mutation))
    units.sort(key=lambda one: (one not in reaching, not words(one) & named, tests[one].part != part,
                                seconds.get(one, NEW_S) / (1 + of_file[one])))
    if quick:
        units = [one for one in units if one in reaching and seconds.get(one, NEW_S) <= QUICK_S][:QUICK_TESTS]
    known = caught.get(title(mutation))
    return [one for one in dict.fromkeys([known, *units, *(() if quick else mutation.e2e)]) if one in tests]


def try_one(shop, mutation, names, seconds, known):
    """Return the fate of the fault, and the test that saw it. `names` are its tests, and `known` has caught it before."""
    path = shop.folder / mutation.path
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        for name in names:
            fate, _ = shop.try_test(shop.tests[name], seconds.get(name, 0))
            if fate in (FAILED, HUNG) and name != known:
                fate, _ = shop.try_test(shop.tests[name], seconds.get(name, 0))
            if fate in (FAILED, HUNG):
                return CAUGHT if fate == FAILED else HUNG, name
        return SURVIVED, ""
    except DoesNotBuild as error:
        return BROKEN, str(error)
    finally:
        path.write_text(right, encoding="utf-8")


class Run:
    def __init__(self, options, chosen):
        self.options, self.chosen, self.lock = options, chosen, threading.Lock()
        self.results, self.caught, self.shops = Results(options.again), read_caught(), queue.SimpleQueue()
        self.reach = Reach(STATE / "reached")

    def each(self, pool, work, items):
        """Have the workers work on the items, and return the results."""
        def borrow(item):
            shop = self.shops.get()
            try:
                return work(shop, item)
            finally:
                self.shops.put(shop)

        return list(pool.map(borrow, items))

    def prove(self, shop, name):
        """Run a test on the right code, once for a tree. Return whether it passes."""
        if name not in self.results.seconds:
            fate, seconds = shop.try_test(shop.tests[name])
            if fate != PASSED:
                print(f"{name} {fate} without a fault", flush=True)
                return False
            with self.lock:
                self.results.add(test=name, **{"is": seconds})
        return True

    def tests_of(self, shop, mutation):
        """Return the names of the tests for a fault, in their order."""
        if self.options.test:
            return [self.options.test]
        reaching = self.reach.tests(mutation)
        seconds = {name: one for name, (_, one, _) in self.reach.of_test.items()} | self.results.earlier
        return order(mutation, self.caught, seconds, shop.tests, reaching, self.options.quick)

    def try_file(self, shop, mutations):
        """Try the faults of one file."""
        for mutation in mutations:
            known = self.caught.get(title(mutation))
            fate, by = try_one(shop, mutation, self.tests_of(shop, mutation), self.results.earlier, known)
            if fate in (CAUGHT, HUNG) and not self.prove(shop, by):
                fate = FALSE
            with self.lock:
                print(f"{fate} {title(mutation)} {f'({by})' if by else ''}", flush=True)
                self.results.add(fault=self.results.key(mutation), **{"is": fate})
                if fate in (CAUGHT, HUNG) and not self.options.test:
                    self.caught[title(mutation)] = by
                    write_caught(self.caught)

    def try_all(self, pool):
        """Try the chosen faults that no test has caught on this tree. Return the number of each fate."""
        fates, key = self.results.fates, self.results.key
        left = [one for one in self.chosen if self.options.test or fates.get(key(one)) not in (CAUGHT, HUNG)]
        files = {one.path: [other for other in left if other.path == one.path] for one in left}
        self.each(pool, self.try_file, list(files.values()))
        return Counter(fates[key(one)] for one in self.chosen)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only see that each text stands at one place")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="a part of the path or of the name")
    parser.add_argument("--test", default="", help="this test alone")
    parser.add_argument("--quick", action="store_true", help="try the likeliest tests alone, and no long ones")
    parser.add_argument("--left", action="store_true", help="try the faults alone that are not in caught.txt")
    parser.add_argument("--again", action="store_true", help="forget the results of an earlier run on this tree")
    options = parser.parse_args()
    for one in misplaced():
        print(f"{title(one)}: not at one place, or not the only one of this name")
    if options.check or misplaced():
        sys.exit(1 if misplaced() else 0)

    known = read_caught() if options.left else {}
    chosen = [one for one in MUTATIONS if options.only in title(one) and title(one) not in known]
    for one in [one for one in chosen if one.redundant or one.since > ssl.OPENSSL_VERSION_INFO]:
        print(f"not tried {title(one)} ({one.redundant or 'OpenSSL ' + '.'.join(map(str, one.since))})", flush=True)
        chosen.remove(one)
    began, run = time.monotonic(), Run(options, chosen)
    lock = open(STATE / "lock", "w", encoding="utf-8")  # two runs would break each other's code
    fcntl.flock(lock, fcntl.LOCK_EX)
    with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
        for shop in pool.map(Workshop, [STATE / str(i) for i in range(options.workers)]):
            run.shops.put(shop)
        if not options.test:
            run.reach.gather([one for one in shop.tests if not one.endswith(".py")])
        fates = run.try_all(pool)
    seen = fates[CAUGHT] + fates[HUNG]
    print(f"mutate: {seen} of {len(chosen)} faults were caught, {fates[HUNG]} of them by a test that hung; {fates[SURVIVED]} "
          f"survived, {fates[BROKEN] + fates[FALSE]} are errors; {time.monotonic() - began:.0f} s")
    sys.exit(0 if seen == len(chosen) else 1)


main()
