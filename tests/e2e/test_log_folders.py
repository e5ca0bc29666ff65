# SPDX-License-Identifier: Apache-2.0
"""The setting `log` with a folder that another user can write: no link of that user is followed."""

import os
import stat

import pytest

from consul_tls import check
from programs import VERSIONS

pytestmark = pytest.mark.faults

NOBODY = 65534
REFUSED = "another user may have put this file or link there"
BY_KERNEL = "Permission denied"  # fs.protected_regular and its like, in sticky folders


@pytest.fixture(params=["sticky", "another user's", "a group's"])
def folder(request, open_folders):
    if os.getuid() != 0:
        pytest.skip("needs another user")
    made = open_folders("log")
    if request.param == "sticky":
        made.chmod(0o1777)
    elif request.param == "a group's":
        os.chown(made, 0, NOBODY)
        made.chmod(0o775)
    else:
        os.chown(made, NOBODY, NOBODY)
    return made


@pytest.fixture
def target(open_folders):
    """A file that root alone may write."""
    file = open_folders("target") / "file"
    file.write_text("content\n")
    return file


def is_refused(programs, agent, log):
    """Load the provider, and return True where it refuses its log."""
    result = programs.storeutl("consul://roots", "-noout", config=programs.config(agent, log=log))
    assert result.code == 0 or f'log = "{log}"' in result.stderr, result
    assert result.code == 0 or REFUSED in result.stderr or BY_KERNEL in result.stderr, result
    return result.code != 0


def test_a_new_file(programs, agent, folder):
    assert not is_refused(programs, agent, folder / "log")
    assert stat.S_IMODE((folder / "log").stat().st_mode) & ~0o640 == 0
    assert not is_refused(programs, agent, folder / "log")


def test_a_link(programs, agent, folder, target):
    """Neither to a file that is there, nor to one that would be made."""
    for number, there in enumerate((target, target.with_name("new"))):
        link = folder / f"log-{number}"
        link.symlink_to(there)
        os.lchown(link, NOBODY, NOBODY)
        assert is_refused(programs, agent, link)
    assert target.read_text() == "content\n" and not target.with_name("new").exists()


def test_a_second_name(programs, agent, folder):
    target = folder.with_name(folder.name + "-target")
    target.write_text("content\n")
    os.link(target, folder / "log")
    assert is_refused(programs, agent, folder / "log")
    assert target.read_text() == "content\n"


def test_a_pipe(programs, agent, folder):
    os.mkfifo(folder / "log")
    os.chown(folder / "log", NOBODY, NOBODY)
    reader = os.open(folder / "log", os.O_RDONLY | os.O_NONBLOCK)
    assert is_refused(programs, agent, folder / "log")
    os.close(reader)


def test_a_file_of_another_user(programs, agent, open_folders):
    """In a folder for all or for a group, it is refused. In that user's own folder, as of a server's user, it is not."""
    if os.getuid() != 0:
        pytest.skip("needs another user")
    for mode, owner, expected in ((0o1777, 0, True), (0o775, NOBODY, True), (0o755, NOBODY, False)):
        folder = open_folders("log")
        folder.chmod(mode)
        os.chown(folder, owner, owner)
        (folder / "log").touch()
        os.chown(folder / "log", NOBODY, NOBODY)
        assert is_refused(programs, agent, folder / "log") == expected


def test_a_link_in_a_folder_of_ones_own(programs, agent, service, open_folders):
    """An administrator's own link is followed."""
    folder = open_folders("log")
    (folder / "link").symlink_to(folder / "file")
    server = programs.server("-nocert", VERSIONS[-1], config=programs.config(agent, service=service, log=folder / "link"))
    assert programs.talk(server).refused
    assert "peer presented no certificate" in (folder / "file").read_text()


def test_the_check_names_it(programs, agent, service, folder, target):
    link = folder / "log"
    link.symlink_to(target)
    chain = check(programs, programs.config(agent, service=service, log=link))
    assert REFUSED in chain.broken["handshake"] or BY_KERNEL in chain.broken["handshake"]


def test_a_link_that_comes_later(programs, agent, service, folder, target):
    """The file that was opened first goes on."""
    log = folder / "log"
    server = programs.server("-nocert", VERSIONS[-1], config=programs.config(agent, service=service, log=log))
    log.rename(folder / "moved")
    log.symlink_to(target)
    assert programs.talk(server).refused
    assert "peer presented no certificate" in (folder / "moved").read_text() and target.read_text() == "content\n"
