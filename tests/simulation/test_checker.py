"""The checker: each broken promise is told, an unbroken history is not."""

from typing import NamedTuple

import pytest

from inferry.server.task.deadlines import expiry
from inferry.server.task.inputs import (
    Accept,
    Cancel,
    Claim,
    Input,
    Progress,
    Release,
    Retry,
    Succeed,
)
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import AttemptOutcome, Outcome, TaskSpec
from tests.server.rules import TASK_RULES
from tests.simulation.checker import check, fact
from tests.simulation.history import History, Report, Run, Seen, Streamed
from tests.simulation.stored import Stored
from tests.simulation.timeouts import Allowance

NOW = 1_700_000_000_000
SPEC = TaskSpec(
    id="task_1",
    tenant="acme",
    type="echo",
    capabilities=(),
    labels=b"{}",
    asynchronous=True,
    priority=0,
    timeout_ms=1_000,
    queue_timeout_ms=1_000,
    silence_timeout_ms=0,
    total_timeout_ms=5_000,
    result_ttl_ms=0,
    max_attempts=2,
    idempotent=False,
    created_ms=NOW,
)
RESULT = b'{"attempt":1,"number":1}'
REFUSED = Release("busy", AttemptOutcome.REFUSED, not_before_ms=0, counts=False)


class Scene(NamedTuple):
    """A task's log and what people were told of it."""

    stored: Stored
    history: History

    def broken(self) -> str:
        return "; ".join(
            check({"task_1": self.stored}, self.history, Allowance(restart_grace_ms=1_000))
        )


def lived(*inputs: Input, step_ms: int = 100) -> Scene:
    """Leads a task through some inputs and notes what people would see of it."""
    record, event = create(SPEC, 0)
    stored, now = Stored(record, [event], ask="a"), NOW
    history = History(created={"task_1"})
    history.tries["a"] = 1
    for given in inputs:
        now += step_ms
        step = apply(stored.record, given, now, TASK_RULES)
        stored.record = step.record
        stored.events.append(step.event)
        if step.closed is not None:
            stored.attempts.append(step.closed)
        stored.outcome = step.outcome or stored.outcome
        if isinstance(given, Claim):
            history.started(Run("task_1", step.record.attempt, "backend"))
        history.retries["task_1"] += isinstance(given, Retry)
    for event in stored.events:
        history.events["task_1", event.seq] = fact(event)
        history.happened["task_1", event.seq] = (event.at_ms - NOW) / 1_000
    return Scene(stored, history)


def completed() -> Scene:
    scene = lived(Claim("srv"), Accept(), Succeed(RESULT))
    said = {"status": "COMPLETED", "result": {"attempt": 1, "number": 1}}
    scene.history.reported(Report("task_1", 1, said, "COMPLETED"))
    finished_ms = scene.stored.record.finished_ms
    scene.history.seen[Seen("task_1", "COMPLETED", finished_ms)] = None
    return scene


@pytest.mark.parametrize(
    "scene",
    [
        completed(),
        lived(Cancel()),
        lived(Claim("srv"), REFUSED, Cancel()),
        lived(Claim("srv"), Cancel(), Retry(), Claim("srv"), Cancel()),
    ],
)
def test_a_history_as_it_should_be_is_not_complained_of(scene: Scene) -> None:
    scene.history.runs[:-1] = []
    assert not scene.broken()


def test_an_acknowledged_task_that_is_not_there_is_lost() -> None:
    scene = completed()
    scene.history.created.add("task_2")
    assert "task_2 is lost" in scene.broken()


def test_a_task_that_is_not_final_never_ends() -> None:
    assert "PROCESSING for ever" in lived(Claim("srv"), Accept()).broken()


def test_a_hole_in_the_events_is_seen() -> None:
    scene = completed()
    del scene.stored.events[2]
    assert "events [1, 2, 4]" in scene.broken()


def test_a_second_end_is_seen() -> None:
    scene = completed()
    last = scene.stored.events[-1]
    scene.stored.events.append(last._replace(seq=last.seq + 1))
    scene.stored.record = scene.stored.record._replace(seq=last.seq + 1)
    assert "came after it was COMPLETED" in scene.broken()


def test_an_attempt_that_never_ended_is_seen() -> None:
    scene = completed()
    scene.stored.attempts.clear()
    assert "attempts [] of 1" in scene.broken()


def test_a_result_of_another_attempt_is_seen() -> None:
    scene = completed()
    scene.stored.outcome = Outcome(result=b'{"attempt":2}')
    assert "attempt 1 completed it" in scene.broken()


def test_an_acknowledged_result_that_is_not_kept_is_seen() -> None:
    scene = completed()
    scene.stored.outcome = Outcome(result=b'{"attempt":1,"number":2}')
    assert "is kept" in scene.broken()


def test_a_final_status_that_was_shown_and_never_was_is_seen() -> None:
    scene = completed()
    scene.history.seen[Seen("task_1", "FAILED", NOW)] = None
    assert "shown as FAILED" in scene.broken()


def test_an_event_that_was_shown_otherwise_is_seen() -> None:
    scene = completed()
    scene.history.events["task_1", 2] = scene.history.events["task_1", 1]
    assert "event 2 of task_1 was shown" in scene.broken()


def test_a_second_run_of_a_task_that_is_not_idempotent_is_seen() -> None:
    scene = lived(Claim("srv"), REFUSED, Claim("srv"), Succeed(b'{"attempt":2}'))
    assert "not idempotent and ran 2 times" in scene.broken()


def test_an_attempt_that_was_started_twice_is_seen() -> None:
    scene = completed()
    scene.history.started(scene.history.runs[0])
    assert "attempt 1 of task_1 was started 2 times" in scene.broken()


def test_an_overrun_clock_is_seen() -> None:
    scene = lived(Claim("srv"), Accept(), Cancel(), step_ms=4_000)
    assert "FINISHED came after 8000 ms" in scene.broken()


def expired(after_ms: int, *, by_ms: int = 0) -> Scene:
    """Leads a task to the end of its queue wait, on a machine whose clock is set meanwhile."""
    scene = lived(expiry(create(SPEC, 0)[0], NOW + 1_000, TASK_RULES), step_ms=after_ms + by_ms)
    scene.history.happened["task_1", 2] = after_ms / 1_000
    return scene


def test_a_clock_that_was_right_is_not_complained_of() -> None:
    for by_ms in (0, 3_600_000):
        assert not expired(1_000, by_ms=by_ms).broken()


def test_a_clock_that_ends_a_task_before_its_time_is_seen() -> None:
    scene = expired(100, by_ms=3_600_000)
    assert "the timeout queue ended it after 100 ms, 1000 it has" in scene.broken()


def test_a_clock_that_leaves_no_grace_after_a_restart_is_seen() -> None:
    scene = expired(2_000)
    scene.history.lone_starts_s += [0.0, 1.9]
    assert "the timeout queue ended it after 100 ms, 1000 it has" in scene.broken()
    scene.history.lone_starts_s[1] = 1.0
    assert not scene.broken()


def test_a_clock_that_stalls_is_seen_though_the_machines_clock_was_set_back() -> None:
    scene = lived(Claim("srv"), Accept(), Cancel())
    scene.history.happened["task_1", 4] = 3_600.0
    assert "FINISHED came after 3599900 ms" in scene.broken()


def test_times_of_events_that_go_back_are_seen() -> None:
    scene = completed()
    scene.stored.events[2] = scene.stored.events[2]._replace(at_ms=NOW)
    assert "times of its events go back" in scene.broken()


def test_two_tasks_of_one_named_request_are_seen() -> None:
    scene = completed()
    scene.history.acknowledged("a", "task_1", named=True)
    scene.history.acknowledged("a", "task_3", named=True)
    assert "request a made 1 tasks, answered with ['task_1', 'task_3']" in scene.broken()


def test_more_tasks_than_requests_are_seen() -> None:
    scene = completed()
    scene.history.tries.clear()
    assert "was tried 0 times and made 1 tasks" in scene.broken()


def test_a_task_that_waits_again_after_its_last_run_is_seen() -> None:
    again = Release("again", AttemptOutcome.AMBIGUOUS, not_before_ms=0)
    scene = lived(Claim("srv"), again, Claim("srv"), again, Cancel())
    assert "it waited again after 2 of 2 runs" in scene.broken()


def purged_after(kept_ms: int) -> Scene:
    """A task that was to be kept for a second and was purged."""
    scene = completed()
    record = scene.stored.record
    scene.stored.record = record._replace(spec=record.spec._replace(result_ttl_ms=1_000))
    scene.stored.purged_ms = record.finished_ms + kept_ms
    scene.history.buried_s.append(kept_ms / 1_000)
    return scene


def test_a_task_that_was_purged_in_its_time_is_not_lost() -> None:
    scene = purged_after(1_000)
    scene.history.gone_s["task_1"] = 1.0
    scene.history.vanished_requests_s["a"] = 1.5
    assert not scene.broken()


def test_a_task_that_was_purged_too_early_is_seen() -> None:
    assert "task_1 was purged 999 ms after it was COMPLETED" in purged_after(999).broken()


def test_a_task_that_was_purged_before_its_end_is_seen() -> None:
    scene = lived(Claim("srv"), Accept())
    scene.stored.purged_ms = NOW
    assert "ms after it was PROCESSING" in scene.broken()


@pytest.mark.parametrize("scene", [completed(), purged_after(2_000)])
def test_who_is_told_of_a_task_as_gone_that_is_there_is_believed_nothing(scene: Scene) -> None:
    scene.history.gone_s["task_1"] = 1.5
    assert "task_1 was said to be gone when it was not" in scene.broken()
    scene.history.gone_s.clear()
    scene.history.vanished_requests_s["a"] = 1.5
    assert "task_1 was said to be gone when it was not" in scene.broken()


@pytest.mark.parametrize("times", [0, 2])
def test_a_report_of_a_stream_that_is_not_there_once_is_seen(times: int) -> None:
    working = Progress(50.0, "half", working=True)
    scene = lived(Claim("srv"), Accept(), *[working] * times, Succeed(RESULT))
    scene.history.streams.append(Streamed("task_1", 1, ("half",)))
    assert f"'half' of a stream on task_1 is {times} times" in scene.broken()
