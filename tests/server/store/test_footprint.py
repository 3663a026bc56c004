"""What is sure of a process that was here before."""

from pathlib import Path

import pytest

from inferry.server.store.operations import Epoch
from inferry.server.store.postgres import footprint
from inferry.server.store.postgres.footprint import Footprint

EPOCH = Epoch(7, 2**62 + 1)


def left(folder: Path) -> Footprint:
    here = Footprint(folder)
    assert here.find() is None
    here.leave(EPOCH)
    return here


def test_who_let_go_of_its_lock_is_gone(tmp_path: Path) -> None:
    left(tmp_path / "data").release()
    again = Footprint(tmp_path / "data")
    assert again.find() == EPOCH
    again.leave(EPOCH._replace(number=8))
    again.release()
    assert Footprint(tmp_path / "data").find() == EPOCH._replace(number=8)


def test_of_a_process_that_is_still_there_nothing_is_told(tmp_path: Path) -> None:
    here, second = left(tmp_path), Footprint(tmp_path)
    assert second.find() is None
    # Nor does it write over what the first one left.
    second.leave(EPOCH._replace(number=8))
    second.release()
    here.release()
    assert Footprint(tmp_path).find() == EPOCH


def test_of_a_process_on_another_machine_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(tmp_path).release()
    other = tmp_path / "boot_id"
    other.write_text("11111111-2222-3333-4444-555555555555\n")
    monkeypatch.setattr(footprint, "_KERNEL", other)
    assert Footprint(tmp_path).find() is None


@pytest.mark.parametrize("text", ["", "x", "a b c", "a 1 2 3", "é 1 2"])
def test_a_file_of_somebody_else_tells_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "replica.lock").write_text(text)
    assert Footprint(tmp_path).find() is None


def test_a_folder_that_cannot_be_written_to_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    here = Footprint(tmp_path / "file")
    assert here.find() is None
    here.leave(EPOCH)
    here.release()
