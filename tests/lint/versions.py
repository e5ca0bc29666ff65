# SPDX-License-Identifier: Apache-2.0
"""The version of meson.build is the newest one in the change log, and that of both packages."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]

PLACES = {
    "meson.build": r"version: '([^']+)'",
    "CHANGELOG.md": r"^## (\d[^ \n]*)",
    "debian/changelog": r"^consul-provider \(([^)]+)\)",
    "packaging/consul-provider.spec": r"^Version: +(\S+)",
}


def main():
    found = {}
    for name, pattern in PLACES.items():
        match = re.search(pattern, (ROOT / name).read_text(), re.MULTILINE)
        found[name] = match and match[1]
    if len(set(found.values())) != 1 or None in found.values():
        raise SystemExit(f"the versions differ: {found}")


main()
