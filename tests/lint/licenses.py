#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Check that each source begins with its license, as https://spdx.dev/ids has it: in the first line, or after #!."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINE = "SPDX-License-Identifier: Apache-2.0"
SUFFIXES = {".c", ".h", ".py", ".sh", ".go", ".build"}
SCRIPTS = ("tools/", ".ci/", "examples/stand-in", "meson_options.txt")


def sources():
    """Return the files that have to have the line; none outside of a working copy. The notes are shown as they are."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True)
    for name in listed.stdout.split():
        path = ROOT / name
        if name.startswith("doc/applications/") or not path.is_file():
            continue
        if path.suffix in SUFFIXES or name.startswith(SCRIPTS):
            yield path


def has_line(path):
    """Return true if the license stands in the first line, or in the second one of a script."""
    head = path.read_text().split("\n", 2)[:2]
    return LINE in head[0] or (head[0].startswith("#!") and LINE in head[-1])


def main():
    """Print the sources without a license. Return the status of the program."""
    lacking = [str(path.relative_to(ROOT)) for path in sources() if not has_line(path)]
    print(*(f"{name}: begin it with {LINE}" for name in lacking), sep="\n", end="\n" if lacking else "")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
