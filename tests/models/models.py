# SPDX-License-Identifier: Apache-2.0
"""Go through all states of each model in this folder with spin. It has to find each fault that a model names.

A model has lines "faults: NAME ..." in its first comment. Such a fault is a name for the preprocessor.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
STEPS = 100_000  # more than any run of a model has: the search stops at it, and says so


def search(model, faults=()):
    """Return the numbers of errors and of states of a model with these faults."""
    with tempfile.TemporaryDirectory() as folder:
        def run(*argv):
            return subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True).stdout

        run("spin", *(f"-D{fault}" for fault in faults), "-a", str(model))
        run("gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c")
        report = run("./pan", f"-m{STEPS}")
    assert "max search depth too small" not in report, report
    errors, = re.findall(r"errors: (\d+)", report)
    states, = re.findall(r"(\d+) states, stored", report)
    return int(errors), int(states)


def main():
    wrong = 0
    for model in sorted(FOLDER.glob("*.pml")):
        faults = [name for line in re.findall(r"faults: (.+)", model.read_text()) for name in line.split()]
        errors, states = search(model)
        print(f"{model.name}: {states} states, {errors} errors", flush=True)
        wrong += errors > 0 or not faults
        for fault in faults:
            errors, _ = search(model, [fault])
            print(f"  {'found' if errors else 'NOT FOUND'}: {fault}", flush=True)
            wrong += errors == 0
    sys.exit(1 if wrong else 0)


main()
