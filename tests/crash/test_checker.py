"""The judge is judged: a good history has no fault, and each fault that is put into it is found."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.crash.checker import check
from tests.crash.history import (
    Heard,
    History,
    Onlooking,
    Plan,
    Remains,
    Run,
    Seen,
    Told,
    Wish,
    end_of,
)

ID = "task_1"
RESULT = {"number": 0, "attempt": 1, "worker": "worker-0"}
TASK = {
    "id": ID,
    "status": "COMPLETED",
    "result": RESULT,
    "labels": {"number": "0"},
    "attempt": 1,
    "maxAttempts": 3,
}
PROGRESS = {"status": "PROCESSING", "message": "attempt 1, step 1"}
EVENTS = [
    {"seq": 1, "kind": "CREATED", "status": "PENDING", "attempt": 0},
    {"seq": 2, "kind": "DISPATCHED", "status": "PENDING", "attempt": 1},
    {"seq": 3, "kind": "PROGRESSED", "attempt": 1, **PROGRESS},
    {"seq": 4, "kind": "FINISHED", "status": "COMPLETED", "attempt": 1},
]
TOLD = {"type": "task.completed", "data": {"id": ID, "status": "COMPLETED"}}
REMAINS = Remains(TASK, EVENTS, [{"number": 1, "outcome": "SUCCEEDED"}])

Lives = tuple[History, dict[str, Remains]]


def good() -> Lives:
    """A task that was created, watched, reported on and completed."""
    history = History(
        wishes={0: Wish(0, Plan.SUCCEED, asynchronous=True, idempotent=False, keyed=True)},
        created={0: {ID}},
        seen=[
            Seen(ID, "create", 0.0, 1.0, "PENDING", None),
            Seen(ID, "watch", 1.0, 3.0, "COMPLETED", end_of(TASK)),
            Seen(ID, "read", 4.0, 5.0, "COMPLETED", end_of(TASK)),
        ],
        runs=[Run(ID, 1, "worker-0", refused=False)],
        told=[
            Told(ID, 1, PROGRESS, 200, {"status": "PROCESSING"}),
            Told(ID, 1, {"status": "COMPLETED", "result": RESULT}, 200, {"status": "COMPLETED"}),
        ],
        watched=[(ID, list(EVENTS))],
        onlooking=[Onlooking("WatchTasks", {ID: list(EVENTS)})],
        heard=[Heard(f"{ID}_4", TOLD, taken=False), Heard(f"{ID}_4", TOLD, taken=True)],
        listened=True,
    )
    return history, {ID: REMAINS}


def left(aftermath: dict[str, Remains], **task: Any) -> None:
    """Lets the task be found in another state."""
    aftermath[ID] = replace(REMAINS, task={**TASK, **task})


def lost(_: History, aftermath: dict[str, Remains]) -> None:
    aftermath.clear()


def stuck(history: History, aftermath: dict[str, Remains]) -> None:
    del history.seen[1:], history.told[1:]
    left(aftermath, status="PROCESSING")


def created_twice(_: History, aftermath: dict[str, Remains]) -> None:
    aftermath["task_2"] = replace(REMAINS, task={**TASK, "id": "task_2"})


def answered_with_two_tasks(history: History, aftermath: dict[str, Remains]) -> None:
    history.created[0] = {ID, "task_2"}


def never_wanted(history: History, _: dict[str, Remains]) -> None:
    history.wishes.clear()


def ended_otherwise(_: History, aftermath: dict[str, Remains]) -> None:
    left(aftermath, status="CANCELLED")


def result_replaced(_: History, aftermath: dict[str, Remains]) -> None:
    left(aftermath, result={**RESULT, "worker": "worker-1"})


def unfinished_again(history: History, _: dict[str, Remains]) -> None:
    history.seen.append(Seen(ID, "read", 6.0, 7.0, "PROCESSING", None))


def ran_twice(history: History, _: dict[str, Remains]) -> None:
    history.runs.append(Run(ID, 2, "worker-1", refused=False))


def dispatched_twice(history: History, _: dict[str, Remains]) -> None:
    history.runs.append(history.runs[0])


def ran_unknown(history: History, _: dict[str, Remains]) -> None:
    history.runs.append(Run("task_2", 1, "worker-1", refused=False))


def unknown_to_a_worker(history: History, _: dict[str, Remains]) -> None:
    history.told.append(Told(ID, 1, PROGRESS, 404, {}))


def report_forgotten(history: History, _: dict[str, Remains]) -> None:
    late = {**PROGRESS, "message": "attempt 1, step 2"}
    history.told.append(Told(ID, 1, late, 200, {"status": "PROCESSING"}))


def stale_report_taken(_: History, aftermath: dict[str, Remains]) -> None:
    left(aftermath, attempt=2)


def hole_in_the_events(_: History, aftermath: dict[str, Remains]) -> None:
    aftermath[ID] = replace(REMAINS, events=[EVENTS[0], *EVENTS[2:]])


def events_stop_before_the_end(_: History, aftermath: dict[str, Remains]) -> None:
    aftermath[ID] = replace(REMAINS, events=EVENTS[:3])


def events_after_the_end(_: History, aftermath: dict[str, Remains]) -> None:
    aftermath[ID] = replace(REMAINS, events=[*EVENTS, {**EVENTS[3], "seq": 5}])


def watcher_missed_an_event(history: History, _: dict[str, Remains]) -> None:
    history.watched.append((ID, [EVENTS[0], EVENTS[2]]))


def watcher_saw_what_was_rolled_back(history: History, _: dict[str, Remains]) -> None:
    history.watched.append((ID, [EVENTS[0], {**EVENTS[1], "attempt": 7}]))


def onlooker_missed_an_event(history: History, _: dict[str, Remains]) -> None:
    del history.onlooking[0].events[ID][1]


def onlooker_was_left_waiting(history: History, _: dict[str, Remains]) -> None:
    history.onlooking[0].events.clear()


def onlooker_got_an_event_twice(history: History, _: dict[str, Remains]) -> None:
    history.onlooking[0].events[ID].append(EVENTS[-1])


def onlooker_got_events_in_another_order(history: History, _: dict[str, Remains]) -> None:
    history.onlooking[0].events[ID].reverse()


def onlooker_was_shown_all_anew(history: History, _: dict[str, Remains]) -> None:
    history.onlooking[0].restarts = 1


def attempt_left_open(_: History, aftermath: dict[str, Remains]) -> None:
    aftermath[ID] = replace(REMAINS, attempts=[{"number": 1, "outcome": "RUNNING"}])


def attempt_forgotten(_: History, aftermath: dict[str, Remains]) -> None:
    aftermath[ID] = replace(REMAINS, attempts=[])


def failed_without_a_reason(history: History, aftermath: dict[str, Remains]) -> None:
    del history.seen[1:], history.told[1:]
    left(aftermath, status="FAILED", code="INTERNAL_ERROR", details={})


def cancelled_by_nobody(history: History, aftermath: dict[str, Remains]) -> None:
    del history.seen[1:], history.told[1:]
    left(aftermath, status="CANCELLED")


def end_never_told(history: History, _: dict[str, Remains]) -> None:
    history.heard.clear()


def end_never_taken(history: History, _: dict[str, Remains]) -> None:
    history.heard.pop()


def end_told_under_another_name(history: History, _: dict[str, Remains]) -> None:
    history.heard.append(Heard(f"{ID}_5", TOLD, taken=True))


def end_told_as_another(history: History, _: dict[str, Remains]) -> None:
    history.heard.append(Heard(f"{ID}_4", {**TOLD, "type": "task.failed"}, taken=True))


def end_told_wrong(history: History, _: dict[str, Remains]) -> None:
    told = {**TOLD, "data": {"status": "FAILED"}}
    history.heard[:] = [Heard(f"{ID}_4", told, taken=True)]


#: Each fault, and what is said of it.
FAULTS = {
    lost: "is lost",
    stuck: "never ended",
    created_twice: "made 2 tasks",
    answered_with_two_tasks: "different tasks",
    never_wanted: "nobody wanted",
    ended_otherwise: "watch saw COMPLETED",
    result_replaced: "was taken",
    unfinished_again: "after its end",
    ran_twice: "ran 2 times and is not idempotent",
    dispatched_twice: "was dispatched 2 times",
    ran_unknown: "the gateway does not know it",
    unknown_to_a_worker: "did not know it",
    report_forgotten: "is not among the events",
    stale_report_taken: "no reason",
    hole_in_the_events: "events [1, 3, 4]",
    events_stop_before_the_end: "the task COMPLETED",
    events_after_the_end: "events after its end",
    watcher_missed_an_event: "a watcher got",
    watcher_saw_what_was_rolled_back: "a watcher got",
    onlooker_missed_an_event: "WatchTasks got",
    onlooker_was_left_waiting: "WatchTasks got []",
    onlooker_got_an_event_twice: "WatchTasks got",
    onlooker_got_events_in_another_order: "WatchTasks got",
    onlooker_was_shown_all_anew: "1 snapshots in place of events",
    attempt_left_open: "still open",
    attempt_forgotten: "it knows []",
    failed_without_a_reason: "no reason",
    cancelled_by_nobody: "no reason",
    end_never_told: "never took",
    end_never_taken: "never took",
    end_told_under_another_name: "is no end",
    end_told_as_another: "and as",
    end_told_wrong: "it is COMPLETED",
}


def test_a_good_history_has_no_fault() -> None:
    assert check(*good()) == []


@pytest.mark.parametrize(
    ("fault", "says"), FAULTS.items(), ids=[fault.__name__ for fault in FAULTS]
)
def test_a_fault_is_found(fault: Callable[[History, dict[str, Remains]], None], says: str) -> None:
    history, aftermath = good()
    fault(history, aftermath)
    assert says in "\n".join(check(history, aftermath))


def test_what_nobody_may_ever_be_answered_is_a_fault() -> None:
    history, aftermath = good()
    history.surprises.append("read task_1: 500")
    assert check(history, aftermath) == ["read task_1: 500"]


def test_an_idempotent_task_may_run_again() -> None:
    history, aftermath = good()
    history.wishes[0] = history.wishes[0]._replace(idempotent=True)
    history.runs.insert(0, Run(ID, 2, "worker-1", refused=True))
    aftermath[ID] = replace(REMAINS, attempts=[*REMAINS.attempts, {"number": 2, "outcome": "LOST"}])
    assert check(history, aftermath) == []


def test_what_a_worker_had_not_acknowledged_may_run_again_though_it_may_have_begun() -> None:
    history, aftermath = good()
    history.runs[:] = [
        Run(ID, 1, "streamed-0", refused=False, streamed=True),
        Run(ID, 2, "worker-1", refused=False),
    ]
    attempts = [{"number": 1, "outcome": "REFUSED"}, {"number": 2, "outcome": "SUCCEEDED"}]
    aftermath[ID] = replace(REMAINS, attempts=attempts)
    assert check(history, aftermath) == []
    history.runs[0] = history.runs[0]._replace(streamed=False)
    assert "is not idempotent" in "\n".join(check(history, aftermath))


def test_a_late_result_may_come_after_the_end() -> None:
    history, aftermath = good()
    del history.seen[1:], history.told[1:], history.watched[:], history.onlooking[:]
    timeout = {"status": "TIMEOUT", "details": {"phase": "attempt"}}
    late = {"seq": 5, "kind": "LATE_RESULT", "status": "TIMEOUT", "attempt": 1}
    events = [*EVENTS[:3], {**EVENTS[3], "status": "TIMEOUT"}, late]
    history.heard[:] = [Heard(f"{ID}_4", {"data": {"status": "TIMEOUT"}}, taken=True)]
    aftermath[ID] = replace(REMAINS, task={**TASK, **timeout}, events=events)
    assert check(history, aftermath) == []
