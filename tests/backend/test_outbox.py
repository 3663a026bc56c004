from pathlib import Path

import pytest

from inferry.backend.attempt import Report
from inferry.backend.outbox import LIMIT_BYTES, Outbox
from inferry.v1.task_pb2 import Task, TaskUpdate


def report(outbox: Outbox, task: str, size: int = 1, address: str = "") -> Report:
    update = TaskUpdate(status=Task.COMPLETED, result_json=b'"' + b"x" * size + b'"')
    return Report((task, 1), update, outbox.number(), address)


def test_it_is_full_while_too_much_waits() -> None:
    outbox = Outbox(None)
    half = LIMIT_BYTES // 2
    outbox.add(report(outbox, "a", half))
    full = [outbox.full]
    outbox.add(report(outbox, "b", half))
    full.append(outbox.full)
    for _ in range(2):
        outbox.remove(("a", 1))
        full.append(outbox.full)
    assert full == [False, True, False, False]


def test_many_small_reports_fill_it_too() -> None:
    outbox = Outbox(None)
    count = 0
    while not outbox.full:
        outbox.add(report(outbox, f"t{count}"))
        count += 1
    assert count < LIMIT_BYTES / 1_000


def test_another_end_of_an_attempt_takes_the_place_of_the_first() -> None:
    outbox = Outbox(None)
    outbox.add(report(outbox, "a"))
    second = report(outbox, "a", 5)
    outbox.add(second)
    assert outbox.reports() == [second]


def test_what_waits_in_a_folder_is_there_for_the_next_process(tmp_path: Path) -> None:
    before = Outbox(tmp_path / "spool", now_us=lambda: 1_000)
    kept = [report(before, "b", address="http://gateway/a?token=t"), report(before, "a")]
    for one in [*kept, report(before, "c")]:
        before.add(one)
    before.remove(("c", 1))
    after = Outbox(tmp_path / "spool", now_us=lambda: 5)
    assert after.reports() == kept
    # However the clock was set: numbers only grow.
    assert after.number() > kept[-1].number
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_no_report_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "1.report").write_bytes(b"what is this")
    (tmp_path / "2.new").write_bytes(b"half a fi")
    assert Outbox(tmp_path).reports() == []
    assert "no report" in caplog.text
    assert (tmp_path / "1.report").exists()


def test_what_another_process_delivered_meanwhile_is_passed_over(tmp_path: Path) -> None:
    # It is seen in the folder, and gone when it is read.
    (tmp_path / "1.report").symlink_to(tmp_path / "delivered")
    outbox = Outbox(tmp_path)
    assert outbox.reports() == []
    kept = report(outbox, "a")
    outbox.add(kept)
    assert Outbox(tmp_path).reports() == [kept]


def test_the_proof_of_who_the_worker_is_outlives_it(tmp_path: Path) -> None:
    spool = Outbox(tmp_path).spool
    assert spool is not None
    assert spool.resume_token == ""
    spool.resume_token = "resume-7"
    again = Outbox(tmp_path).spool
    assert again is not None
    assert again.resume_token == "resume-7"
