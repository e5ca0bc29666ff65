# SPDX-License-Identifier: Apache-2.0
"""A fault that a change could bring into the code, at a named place. A test has to see each one.

A fault is the text of a place, and the text that takes its place. `e2e` names the files of tests/e2e that see the
fault where no unit test does. A fault may need a newer OpenSSL. A guard that another guard stands behind is kept, as each
of them may break. Such a fault is named with its reason, and is not counted.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    name: str
    path: str
    old: str
    new: str
    e2e: tuple = ()
    since: tuple = (3, 0)  # the first OpenSSL in which the code of the place runs
    redundant: str = ""  # the reason for which no test can see it; "" for all others


def of(path, *rows):
    return [Mutation(name, path, old, new, tuple(e2e)) for name, old, new, *e2e in rows]


def redundant(path, *rows):
    return [Mutation(name, path, old, new, redundant=reason) for name, old, new, reason in rows]
