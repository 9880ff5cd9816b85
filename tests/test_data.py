"""The data directory: made once, held by one, never mixed with other people's files."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from footfall.data import FORMAT, DataDirectory
from footfall.errors import (
    DataDirectoryForeign,
    DataDirectoryInUse,
    DataDirectoryMissing,
    DataDirectoryTooNew,
)


def test_it_is_made_for_its_owner_only(tmp_path):
    data = DataDirectory.create(tmp_path / "a" / "b")
    assert stat.S_IMODE(data.path.stat().st_mode) == 0o700
    assert data.version.read_text() == f"{FORMAT}\n"
    assert os.listdir(data.path) == ["VERSION"]
    assert DataDirectory.create(data.path).path == data.path
    assert DataDirectory.open(data.path).journal == data.path / "journal"


def test_its_secret_is_drawn_once(tmp_path):
    data = DataDirectory.create(tmp_path / "a")
    secret = data.secret()
    assert len(secret) == 32
    assert data.secret() == DataDirectory.open(data.path).secret() == secret
    assert stat.S_IMODE(data.secret_file.stat().st_mode) == 0o600
    assert sorted(os.listdir(data.path)) == ["VERSION", "secret"]
    assert DataDirectory.create(tmp_path / "b").secret() != secret


def test_of_several_that_draw_a_secret_at_once_the_first_ones_stands(tmp_path, monkeypatch):
    data = DataDirectory.create(tmp_path / "a")
    read, found = data._read_secret, []

    def read_late():
        if not found:
            found.append(DataDirectory.open(data.path).secret())
            raise FileNotFoundError
        return read()

    monkeypatch.setattr(data, "_read_secret", read_late)
    assert data.secret() == found[0]


def test_a_damaged_secret_is_not_replaced(tmp_path):
    data = DataDirectory.create(tmp_path / "a")
    data.secret_file.write_text("rubbish")
    with pytest.raises(DataDirectoryForeign, match="secret"):
        data.secret()


def test_looking_makes_nothing(tmp_path):
    with pytest.raises(DataDirectoryMissing):
        DataDirectory.open(tmp_path / "no")
    assert not (tmp_path / "no").exists()
    with pytest.raises(DataDirectoryForeign):
        DataDirectory.open(tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_peoples_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.doc").write_text("")
    with pytest.raises(DataDirectoryForeign, match=r"thesis\.doc"):
        DataDirectory.create(tmp_path)
    with pytest.raises(DataDirectoryForeign, match="not a directory"):
        DataDirectory.create(tmp_path / "thesis.doc")
    assert os.listdir(tmp_path) == ["thesis.doc"]


def test_a_fresh_file_system_is_empty_enough(tmp_path):
    (tmp_path / "lost+found").mkdir()
    assert DataDirectory.create(tmp_path).version.exists()


@pytest.mark.parametrize("text", ["", "x", "0", "-1"])
def test_a_version_that_is_none_is_refused(tmp_path, text):
    data = DataDirectory.create(tmp_path / "d")
    data.version.write_text(text)
    with pytest.raises(DataDirectoryForeign, match="VERSION"):
        DataDirectory.open(data.path)


def test_a_newer_format_is_refused(tmp_path):
    data = DataDirectory.create(tmp_path / "d")
    data.version.write_text(f"{FORMAT + 1}\n")
    for way in (DataDirectory.open, DataDirectory.create):
        with pytest.raises(DataDirectoryTooNew, match=f"up to {FORMAT}"):
            way(data.path)


def test_one_process_holds_it(tmp_path):
    data = DataDirectory.create(tmp_path / "d")
    with data.lock(), pytest.raises(DataDirectoryInUse, match=f"process {os.getpid()}"):
        with data.lock():
            pass
    with data.lock():
        pass


@pytest.mark.slow
def test_the_lock_goes_with_its_process(tmp_path):
    data = DataDirectory.create(tmp_path / "d")
    program = (
        "import sys; from footfall.data import DataDirectory\n"
        f"with DataDirectory({str(data.path)!r}).lock():\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(DataDirectoryInUse, match=f"process {process.pid}"):
            with data.lock():
                pass
        process.kill()
    with data.lock():
        pass
