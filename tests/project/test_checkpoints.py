"""Checkpoints: all or nothing, only what changed, and of one version."""

from __future__ import annotations

import pytest

from footfall.project.checkpoints import Checkpoint, Checkpoints


@pytest.fixture
def file(tmp_path):
    return tmp_path / "project" / "media.db"


def opened(file, version=1):
    return Checkpoints(file, "media", version)


def test_a_checkpoint_is_there_after_a_restart(file):
    first = opened(file)
    assert first.fold() is None
    assert list(first.sessions()) == []
    first.write(Checkpoint(b"at 1", [(b"a", b"1"), (b"b", b"1")]))
    first.write(Checkpoint(b"at 2", [(b"b", b"2"), (b"c", b"1")], gone=[b"a"]))
    first.close()
    second = opened(file)
    assert second.fold() == b"at 2"
    assert list(second.sessions()) == [(b"b", b"2"), (b"c", b"1")]
    second.close()


def test_a_checkpoint_that_fails_leaves_the_one_before_it(file):
    def breaks_off():
        yield (b"a", b"2")
        raise ValueError("no more")

    checkpoints = opened(file)
    checkpoints.write(Checkpoint(b"at 1", [(b"a", b"1")]))
    with pytest.raises(ValueError, match="no more"):
        checkpoints.write(Checkpoint(b"at 2", breaks_off()))
    assert checkpoints.fold() == b"at 1"
    assert list(checkpoints.sessions()) == [(b"a", b"1")]
    checkpoints.close()


def test_another_version_begins_anew(file):
    old = opened(file)
    old.write(Checkpoint(b"at 1", [(b"a", b"1")]))
    old.close()
    new = opened(file, version=2)
    assert new.fold() is None
    assert list(new.sessions()) == []
    new.write(Checkpoint(b"at 0", [(b"x", b"1")]))
    assert list(new.sessions()) == [(b"x", b"1")]
    new.close()
    assert opened(file).fold() is None


def test_beginning_anew_leaves_nothing(file):
    checkpoints = opened(file)
    checkpoints.write(Checkpoint(b"at 1", [(b"a", b"1")]))
    checkpoints.begin_anew()
    assert checkpoints.fold() is None
    assert list(checkpoints.sessions()) == []


def test_a_file_that_is_no_database_is_begun_anew(file):
    file.parent.mkdir()
    file.write_bytes(b"no database" * 100)
    checkpoints = opened(file)
    assert checkpoints.fold() is None
    checkpoints.write(Checkpoint(b"at 1", [(b"a", b"1")]))
    checkpoints.close()
    assert opened(file).fold() == b"at 1"
