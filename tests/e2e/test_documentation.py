# SPDX-License-Identifier: Apache-2.0
"""The configuration files of the pages work as they stand, but for the paths and the log."""

import re
from pathlib import Path

import pytest

import newcomer
from applications import document

ROOT = Path(__file__).resolve().parents[2]


def of_page():
    return newcomer.blocks("doc/settings.md", "ini")[0]


def of_example():
    return (ROOT / "openssl.cnf.example").read_text()


@pytest.mark.parametrize("text", [of_page, of_example])
def test_a_shown_configuration_works(programs, agent, service, text):
    lines, count = re.subn(r"(?m)^module = .*$", f"module = {programs.module}", text())
    assert count == 1
    lines, count = re.subn(r"(?m)^#?address = 127.0.0.1:8500$", f"address = {agent.address}", lines)
    assert count == 1
    config = programs.write("openssl.cnf", lines + "\nlog = off\n")
    assert programs.storeutl("consul://roots", "-noout", config=config).code == 0
    server = programs.connect_server(service, config=config)
    assert programs.talk(server).refused
    friend = ["-cert", "consul://leaf/friend", "-key", "consul://leaf/friend"]
    assert programs.talk(server, *friend, config=config).talked


def test_the_table_of_applications_is_of_the_files_that_the_tests_run():
    shown = (ROOT / "doc" / "applications.md").read_text()
    assert shown == document.document(), "run tests/e2e/applications/document.py > doc/applications.md"


def test_every_documented_file_is_run():
    known = document.modules()
    folders = sorted(folder.name for folder in document.FOLDER.iterdir())
    assert folders == sorted(module.path.stem for module in known)
    unused = [str(file) for module in known for file in module.files if not module.mentions(file)]
    assert unused == []
