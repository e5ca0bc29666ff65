# SPDX-License-Identifier: Apache-2.0
"""Compile rows as programs of their own, and see that data flows as in the row."""
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
import program  # noqa: E402

ROWS = {"role=client name=service": True, "place=alpn take=mode message=inside peer=none": False,
        "given=switch life=ticket-keys take=all place=bio call=third peer=denied": False}


def main():
    """Exit with the rows whose programs do something else."""
    with tempfile.TemporaryDirectory() as folder:
        for row, flows in ROWS.items():
            source, binary = Path(folder) / "program.c", Path(folder) / "program"
            source.write_text(program.make(row))
            subprocess.run(["cc", "-D_GNU_SOURCE", "-o", binary, source, "-lssl", "-lcrypto", "-ljansson", "-lpthread"], check=True)
            said = subprocess.run([binary], capture_output=True, text=True, check=True).stdout
            if said.count(": has data") != (2 if flows else 0):
                sys.exit(f"{row}: {said}")


main()
