# SPDX-License-Identifier: Apache-2.0
"""Check that each test that a page names is there: the promises of SECURITY.md stand on them."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tests():
    """Return the names of all tests: of their files and of their functions."""
    found = set()
    for path in [*ROOT.glob("tests/**/test_*.py"), *ROOT.glob("tests/**/test_*.c")]:
        found.add(path.stem)
        found |= set(re.findall(r"(?:def|void) (test_\w+)\(", path.read_text()))
    return found


def main():
    """Exit with the names of the tests that are missing."""
    known, missing = tests(), []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("doc/**/*.md")]:
        named = re.findall(r"\btest_\w+", page.read_text())
        missing += [f"{page.relative_to(ROOT)} names {name}" for name in named if name not in known]
    if missing:
        raise SystemExit("these tests are missing: " + ", ".join(missing))


main()
