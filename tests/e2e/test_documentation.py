"""The configuration files that the documentation shows work as they stand, but for the paths."""

import re
from pathlib import Path

import pytest

import nginx
from applications import document

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


def test_three_lines_to_nginx(programs, agent, service):
    """What README says about nginx, but for the paths, the agent and the service."""
    script = re.search(r"```sh\n(sed .*?) && nginx -g", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    folder = programs.folder
    for shown, ours in (("/etc/nginx", folder), ("openssl.cnf.example", ROOT / "openssl.cnf.example"),
                        ("leaf/web", f"leaf/{service}"), ("log = syslog", "log = stderr")):
        assert shown in script
        script = script.replace(shown, str(ours))
    lines = (f"s#^module = .*#module = {programs.module}#; "
             f"s/^#address = .*/address = {agent.address}/")
    script = script.replace("sed ", f"sed -e '{lines}' -e ")
    preloaded = programs.config(agent)  # in its place comes the script's own
    made = programs.run(["sh", "-e", "-c", script], preloaded, programs.leaks_allowed())
    assert made.code == 0, made
    config = folder / "openssl.cnf"
    server = nginx.start(programs, folder / "web.pem", folder / "web.key", ["hello"], config)
    connect = ["s_client", "-connect", f"127.0.0.1:{server.ports[0]}", "-ign_eof"]
    request = b"GET / HTTP/1.0\r\n\r\n"
    friend = agent.leaf("friend").files(folder, "friend")
    assert "hello" in programs.openssl(*connect, *friend, stdin=request).stdout
    assert "hello" not in programs.openssl(*connect, stdin=request).stdout
    server.wait_for(rf"consul: peer presented no certificate: client refused .service {service}, peer 127.0.0.1 port")


def test_the_table_of_applications_is_of_the_files_that_the_tests_run():
    shown = (ROOT / "doc" / "applications.md").read_text()
    assert shown == document.document(), "run tests/e2e/applications/document.py > doc/applications.md"


def test_every_documented_file_is_run():
    known = document.modules()
    folders = sorted(folder.name for folder in document.FOLDER.iterdir())
    assert folders == sorted(module.path.stem for module in known)
    unused = [str(file) for module in known for file in module.files if not module.mentions(file)]
    assert unused == []
