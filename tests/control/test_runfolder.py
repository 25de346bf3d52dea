"""Where sockets are left and found, and whose folders are believed."""

import os
import socket

import pytest

from headgate.control import runfolder
from headgate.control.runfolder import Unsafe, find_sockets, forget_dead, left_behind, make_folder, run_folder, socket_of

ME = os.geteuid()
NOBODY = 65534


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A machine of its own: /run/headgate and the temporary folder are in the test's."""
    monkeypatch.setattr(runfolder, "_SYSTEM", tmp_path / "run-headgate")
    monkeypatch.setattr(runfolder.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.chdir(tmp_path)  # sockets are bound by relative paths, as those of a test's folder are too long
    return tmp_path


def listening(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(os.path.relpath(path))
    sock.listen()
    return sock


def test_which_folder(here):
    assert run_folder({}, 0) == here / "run-headgate"
    assert run_folder({}, 1000) == here / "headgate-1000"
    assert str(run_folder({"XDG_RUNTIME_DIR": "/run/user/1000"}, 1000)) == "/run/user/1000/headgate"
    assert run_folder({"XDG_RUNTIME_DIR": "/run/user/0"}, 0) == here / "run-headgate"
    assert str(run_folder({"XDG_RUNTIME_DIR": "/run/user/1000", "HEADGATE_RUN": "/srv/run"}, 1000)) == "/srv/run"
    assert run_folder({"HEADGATE_RUN": "own"}, 1000) == here / "own"
    assert run_folder({"HEADGATE_RUN": ""}, 0) == here / "run-headgate"


def test_a_new_folder_is_for_its_owner_alone(here):
    before = os.umask(0)
    try:
        make_folder(here / "run", ME)
    finally:
        os.umask(before)
    assert (here / "run").stat().st_mode & 0o777 == 0o700
    make_folder(here / "run", ME)


def test_whose_folders_are_refused(here):
    (here / "real").mkdir(0o700)
    (here / "link").symlink_to(here / "real")
    (here / "file").write_text("")
    (here / "group").mkdir()
    (here / "group").chmod(0o770)
    for name, words in (
        ("link", "symbolic link"), ("file", "not a folder"), ("group", "others may write"), ("no/where", "cannot be made"),
    ):  # fmt: skip
        with pytest.raises(Unsafe, match=words):
            make_folder(here / name, ME)
    with pytest.raises(Unsafe, match=f"belongs to another user \\({ME}\\)"):
        make_folder(here / "real", ME + 1)


def test_sockets_are_found(here):
    assert find_sockets({}, ME) == []
    system, temporary = here / "run-headgate", here / f"headgate-{ME}"
    for folder in (system, temporary):
        make_folder(folder, ME)
    with (
        listening(socket_of(system, 7)),
        listening(socket_of(temporary, 6)),
        listening(system / "x.sock"),
        listening(system / "8"),
    ):
        (system / "9.sock").write_text("")
        assert find_sockets({}, ME) == [(6, temporary / "6.sock"), (7, system / "7.sock")]
        assert find_sockets({"HEADGATE_RUN": str(temporary)}, ME) == [(6, temporary / "6.sock")]
        temporary.chmod(0o777)
        assert find_sockets({}, ME) == [(7, system / "7.sock")], "who may write there may put a socket there"


@pytest.mark.skipif(ME != 0, reason="needs root")
def test_root_is_shown_the_services_of_others(here):
    system = here / "run-headgate"
    make_folder(system, ME)
    with listening(socket_of(system, 7)):
        os.chown(system, NOBODY, NOBODY)
        assert find_sockets({}, 0) == [(7, system / "7.sock")]
        assert find_sockets({}, 1000) == []
        assert find_sockets({}, NOBODY) == [(7, system / "7.sock")]


def test_only_dead_sockets_of_dead_processes_go(here):
    folder = here / "run"
    make_folder(folder, ME)
    gone, mine, alive = socket_of(folder, 2**31 + 5), socket_of(folder, os.getpid()), socket_of(folder, 2**31 + 6)
    for path in (gone, mine):
        listening(path).close()
    (folder / "note.txt").write_text("")
    with listening(alive):
        assert [left_behind(path.relative_to(here)) for path in (gone, mine, alive)] == [True, True, False]
        forget_dead(folder.relative_to(here))
        assert sorted(path.name for path in folder.iterdir()) == sorted([mine.name, alive.name, "note.txt"])
