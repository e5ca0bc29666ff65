"""The configuration files that the documentation shows work as they stand, but for the paths."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def of_readme():
    return re.search(r"```ini\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)


def of_example():
    return (ROOT / "openssl.cnf.example").read_text()


@pytest.mark.parametrize("text", [of_readme, of_example])
def test_a_shown_configuration_works(programs, agent, service, text):
    lines, count = re.subn(r"(?m)^module = .*$", f"module = {programs.module}", text())
    assert count == 1
    lines, count = re.subn(r"(?m)^#?address = 127.0.0.1:8500$", f"address = {agent.address}", lines)
    assert count == 1
    config = programs.write("openssl.cnf", lines)
    assert programs.storeutl("consul://roots", "-noout", config=config).code == 0
    server = programs.connect_server(service, config=config)
    assert programs.talk(server).refused
    friend = ["-cert", "consul://leaf/friend", "-key", "consul://leaf/friend"]
    assert programs.talk(server, *friend, config=config).talked


def test_the_line_for_nginx_sets_the_service(programs, agent):
    """README makes nginx's openssl.cnf from the example with one sed."""
    command = re.search(r"sed (\"s/.*?\") openssl.cnf.example", (ROOT / "README.md").read_text()).group(1)
    result = programs.run(["sh", "-c", f"sed {command} {ROOT / 'openssl.cnf.example'}"])
    assert "\nservice = web\n" in result.stdout
