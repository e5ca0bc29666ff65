#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check the floors of store/, provider/ and cli/: each folder uses only those listed before it.

A folder's place is that of its first source in meson.build. Calls are read from the objects of the
build, includes from the sources. Usage: floors.py <source root> <build root>
"""

import pathlib
import re
import subprocess
import sys

LONGEST_SOURCE = 400  # lines
LONGEST_HEADER = 200
HALVES = {"store": "store/libconsul-store.a.p", "provider": "provider/consul.so.p", "cli": "cli/consul-tls.p"}
BELOW = {"cli": ("store", "provider/config", "provider/report")}  # the headers that a part may include, too
DOOR = "store.h"  # of store/, for provider/


def sources(root, half):
    """Return the sources of a half, relative to it, in the order of its meson.build."""
    return re.findall(r"'([\w/]+\.c)'", (root / half / "meson.build").read_text())


def folder(path):
    return path.rpartition("/")[0]


def floors(files):
    """Return each folder's place, the lowest first."""
    return {name: place for place, name in enumerate(dict.fromkeys(map(folder, files)))}


def symbols(path):
    """Return the global symbols that an object defines, and the symbols that it needs."""
    defined, needed = set(), set()
    for line in subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout.splitlines():
        kind, name = line.split()[-2:]
        if kind in "TDBRVW":
            defined.add(name)
        elif kind == "U":
            needed.add(name)
    return defined, needed


def calls(objects):
    """Return the symbols that each file uses of each other file: {user: {used: {symbol, ...}}}."""
    home = {name: file for file, (defined, _) in objects.items() for name in defined}
    uses = {file: {} for file in objects}
    for file, (_, needed) in objects.items():
        for name in needed & home.keys():
            if home[name] != file:
                uses[file].setdefault(home[name], set()).add(name)
    return uses


def find_circle(uses):
    """Return files that use each other in a circle, or None."""
    done = set()

    def walk(file, way):
        if file in way:
            return way[way.index(file):] + [file]
        if file in done:
            return None
        found = next(filter(None, (walk(used, way + [file]) for used in sorted(uses[file]))), None)
        done.add(file)
        return found

    return next(filter(None, (walk(file, []) for file in sorted(uses))), None)


def check_calls(half, uses, place):
    circle = find_circle(uses)
    if circle:
        yield f"{half}: a circle of calls: {' -> '.join(circle)}"
    for user in uses:
        for used, names in uses[user].items():
            if place[folder(used)] > place[folder(user)]:
                yield f"{half}/{user} uses {used}, which is above it: {', '.join(sorted(names))}"


def check_headers(half, uses, headers):
    """Check that a symbol used elsewhere is in its own header. The top folder has common headers."""
    for file, names in {(f, n) for used in uses.values() for f, ns in used.items() for n in ns}:
        own = [file[:-2] + ".h"] if folder(file) else [h for h in headers if not folder(h)]
        if not any(re.search(rf"\b{names}\b", headers.get(h, "")) for h in own):
            yield f"{half}/{file}: {names} is used by others, and {' or '.join(own)} does not declare it"


def check_includes(half, path, text, place, others=()):
    """Check the includes of a file. `others` are headers of the parts below this one."""
    for name in re.findall(r'^#include "([^"]+)"', text, re.M):
        if name in others:
            continue
        if folder(name) not in place:
            yield f"{half}/{path} includes {name}, which is in none of the folders"
        elif place[folder(name)] > place[folder(path)] and (half, name) != ("provider", DOOR):
            yield f"{half}/{path} includes {name}, which is above it"
        elif name.endswith("fields.h") and folder(name) != folder(path):
            yield f"{half}/{path} includes {name}, which is for the files of its own folder"


def check_length(half, path, text):
    most = LONGEST_HEADER if path.endswith(".h") else LONGEST_SOURCE
    lines = text.count("\n")
    if lines > most:
        yield f"{half}/{path} has {lines} lines, more than {most}"


def check_half(root, build, half):
    files = sources(root, half)
    place = floors(files)
    there = {str(p.relative_to(root / half)): p.read_text() for p in (root / half).rglob("*.[ch]")}
    headers = {path: text for path, text in there.items() if path.endswith(".h")}
    objects = {f: symbols(build / HALVES[half] / f"{f.replace('/', '_')}.o") for f in files}
    uses = calls(objects)
    others = {str(p.relative_to(root / under.split("/")[0])) for under in BELOW.get(half, ())
              for p in (root / under).rglob("*.h")}
    yield from check_calls(half, uses, place)
    yield from check_headers(half, uses, headers)
    for path, text in sorted(there.items()):
        yield from check_includes(half, path, text, place, others)
        yield from check_length(half, path, text)


def check_the_checks():
    """Check that each check finds its own fault."""
    place = floors(["low/a.c", "high/b.c"])
    good = {"low/a.c": ({"a"}, set()), "high/b.c": ({"b"}, {"a"})}
    bad = {"low/a.c": ({"a"}, {"b"}), "high/b.c": ({"b"}, {"a"})}
    headers = {"low/a.h": "int a(void);", "high/b.h": ""}
    assert not list(check_calls("x", calls(good), place))
    assert len(list(check_calls("x", calls(bad), place))) == 2
    assert not list(check_headers("x", calls(good), headers))
    assert list(check_headers("x", calls(bad), headers))
    assert not list(check_includes("x", "high/b.c", '#include "low/a.h"\n', place))
    assert list(check_includes("x", "low/a.c", '#include "high/b.h"\n', place))
    assert list(check_includes("x", "high/b.c", '#include "low/fields.h"\n', place))
    assert not list(check_includes("x", "low/a.c", '#include "other/b.h"\n', place, {"other/b.h"}))
    assert list(check_length("x", "a.h", "\n" * (LONGEST_HEADER + 1)))


def main():
    root, build = map(pathlib.Path, sys.argv[1:])
    check_the_checks()
    faults = [fault for half in HALVES for fault in check_half(root, build, half)]
    print(*faults, sep="\n", end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
