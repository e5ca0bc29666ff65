# SPDX-License-Identifier: Apache-2.0
"""Constants of the sources, which tests measure by."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def constant(file, name):
    """Return the number that a file of the sources defines by this name."""
    return int(re.search(rf"^#define {name} (\d+)\b", (ROOT / file).read_text(), re.M)[1])
