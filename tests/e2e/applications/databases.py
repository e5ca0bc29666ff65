# SPDX-License-Identifier: Apache-2.0
"""The data that PostgreSQL and MariaDB start from, and an orderly end for them."""

import os
import shutil

from applications.common import launch


def copy_of(programs, name, make, target):
    """Copy the folder that `make(folder)` fills, once for all tests of this worker."""
    template = programs.folder.parent / f"{name}-data"
    if not template.exists():
        unfinished = programs.folder.parent / f"{name}-unfinished"
        unfinished.mkdir(exist_ok=True)
        make(unfinished)
        unfinished.rename(template)
    programs.run(["cp", "--archive", template, target])  # cp keeps the owner, and shutil does not


class Administrator:
    """Ends a database as its own tools would, and takes its data away, before it would be killed.

    Otherwise PostgreSQL leaves shared memory behind, and every test some 30 MB.
    """

    def __init__(self, process, number, data):
        self.process, self.number, self.data = process, number, data

    def kill(self):
        running = not self.process.ended()
        if running:
            os.kill(self.process.child.pid, self.number)
        code = self.process.wait()
        shutil.rmtree(self.data)
        assert code == 0 or not running, f"it ended with {code}:\n{self.process.output()}"


def launch_on_data(programs, config, command, ready, number):
    """Launch as launch() does; `command(folder, port)` has its data in folder/data, and this signal ends it."""
    folders = []

    def noted(folder, port):
        folders.append(folder)
        return command(folder, port)

    process = launch(programs, config, noted, ready)
    programs.started.insert(0, Administrator(process, number, folders[-1] / "data"))
    return process
