# SPDX-License-Identifier: Apache-2.0
"""Check that the exceptions of tests/attack and those of the pages are the same, by their names.

SECURITY.md lists the ways in, and doc/limits.md the refusals. A name stands in bold.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LISTS = (("ways_in", "SECURITY.md", "- An application that works against", "  A single other callback is enough"),
         ("refusals", "doc/limits.md", "## Applications with callbacks", "## Time, users"))


def in_oracle(name):
    """Return the names of a list of the oracle."""
    text = (ROOT / f"tests/attack/{name}.c").read_text()
    body = re.search(rf"^const exception oracle_{name}\[\] = \{{(.*?)^    \{{0\}}\}};", text, re.M | re.S)[1]
    return set(re.findall(r'\{"([^"]+)",', body))


def on_page(page, begin, end):
    """Return the names in bold of a part of a page."""
    text = (ROOT / page).read_text()
    part = " ".join(text[text.index(begin):text.index(end)].split())
    return {name[0].lower() + name[1:].rstrip(".") for name in re.findall(r"\*\*(.+?)\*\*", part)}


def main():
    """Exit with the names that stand at one place only."""
    bad = [f"{page}: {one}" for name, page, begin, end in LISTS for one in in_oracle(name) ^ on_page(page, begin, end)]
    if bad:
        sys.exit("exceptions of one place only: " + "; ".join(bad))


main()
