"""Where incidents are kept: found by the next start, and never where somebody else could read them."""

import os
import stat
from pathlib import Path

import pytest

from headgate.control.statefolder import forget, incident_file, name_for, passing_file, state_folder


@pytest.mark.parametrize(
    ("environment", "user", "folder"),
    [
        ({}, 0, "/var/lib/headgate"),
        ({"HEADGATE_STATE_DIRECTORY": "/a"}, 0, "/a"),
        ({"STATE_DIRECTORY": "/var/lib/one:/var/lib/two"}, 7, "/var/lib/one"),
        ({"HOME": "/home/ann"}, 7, "/home/ann/.local/state/headgate"),
        ({"HOME": "/home/ann", "XDG_STATE_HOME": "/s"}, 7, "/s/headgate"),
        ({}, 7, "/nonexistent/.local/state/headgate"),
    ],
)
def test_the_folder(environment, user, folder):
    assert state_folder(environment, user) == Path(folder)


def test_each_configuration_has_its_own_file(tmp_path):
    one, other = tmp_path / "a" / "headgate.toml", tmp_path / "b" / "headgate.toml"
    assert name_for(str(one)) != name_for(str(other))
    assert name_for(str(one)) == name_for(str(tmp_path / "b" / ".." / "a" / "headgate.toml"))
    assert name_for(str(one)).startswith("headgate-")
    assert len(name_for("/" + "x" * 3000)) < 80


def test_auto_makes_the_folder_for_its_owner_alone(tmp_path):
    file = incident_file("auto", "/etc/headgate.toml", {"HEADGATE_STATE_DIRECTORY": str(tmp_path / "new" / "state")}, 0)
    assert file is not None
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_what_is_kept_in_memory(tmp_path):
    assert incident_file("memory", "/etc/headgate.toml", {}, 0) is None
    assert incident_file("auto", "", {"HEADGATE_STATE_DIRECTORY": str(tmp_path)}, 0) is None
    assert incident_file("/srv/x", "", {}, 0) == Path("/srv/x")


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        incident_file("auto", "/etc/headgate.toml", {"HEADGATE_STATE_DIRECTORY": str(tmp_path / "file" / "state")}, 0)


def test_a_passing_file_is_forgotten_with_all_that_belongs_to_it(tmp_path):
    run = tmp_path / "run"
    file = passing_file(41, {"HEADGATE_RUN": str(run)}, os.geteuid())
    assert file == run / "41.incidents"
    for name in ("41.incidents", "41.incidents-wal", "41.incidents.lock", "42.incidents"):
        (run / name).write_text("")
    forget(file)
    assert [one.name for one in run.iterdir()] == ["42.incidents"]


def test_where_the_usual_folder_is_not_safe_it_is_a_new_one(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    file = passing_file(41, {"HEADGATE_RUN": str(tmp_path / "run")}, os.geteuid())
    assert file.parent.parent != tmp_path
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.write_text("")
    forget(file)
    assert not file.parent.exists()
