"""Judges a history: was anything lost, doubled, or did it end in two ways?

Each rule names what it found wrong, one line each; no line means that all went well.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.crash.history import FINAL, PLANNED, History, Json, Plan, Remains, end_of

Aftermath = Mapping[str, Remains]


def check(history: History, aftermath: Aftermath) -> list[str]:
    """Gives all that is wrong.

    Args:
        history: What everybody saw.
        aftermath: What the gateway knows of each task when nothing is left to do.
    """
    return [
        *history.surprises,
        *(found for rule in _RULES for found in rule(history, aftermath)),
    ]


def what_was_acknowledged_exists_and_has_ended(
    history: History, aftermath: Aftermath
) -> Iterator[str]:
    """Every task that a create was answered with is there; every task that is there is final."""
    for number, ids in history.created.items():
        for task_id in ids - aftermath.keys():
            yield f"{task_id} (wish {number}) was acknowledged and is lost"
    for task_id, remains in aftermath.items():
        if remains.task["status"] not in FINAL:
            yield f"{task_id} never ended: it is {remains.task['status']}"


def a_wish_makes_one_task_at_most(history: History, aftermath: Aftermath) -> Iterator[str]:
    """Nothing is created twice, and nothing that nobody wanted."""
    made = Counter(_number(remains) for remains in aftermath.values())
    for number, times in made.items():
        if number not in history.wishes:
            yield f"nobody wanted wish {number}"
        elif times > 1:
            yield f"wish {number} made {times} tasks"
    for number, ids in history.created.items():
        if len(ids) > 1:
            yield f"wish {number} was answered with different tasks: {sorted(ids)}"


def a_task_ends_once(history: History, aftermath: Aftermath) -> Iterator[str]:
    """All who saw a task's end saw the same, and nobody saw it unfinished afterwards."""
    ended_s: dict[str, float] = {}
    for seen in history.seen:
        remains = aftermath.get(seen.task_id)
        if seen.status not in FINAL or remains is None:
            continue
        ended_s[seen.task_id] = min(seen.ended_s, ended_s.get(seen.task_id, seen.ended_s))
        last = remains.task
        if seen.status != last["status"] or seen.end not in (None, end_of(last)):
            yield f"{seen.task_id}: {seen.where} saw {seen.status} {seen.end!r}, in the end: {last}"
    for seen in history.seen:
        if seen.status not in FINAL and seen.began_s > ended_s.get(seen.task_id, seen.began_s):
            yield f"{seen.task_id}: {seen.where} saw {seen.status} after its end"


def what_may_not_run_twice_does_not(history: History, aftermath: Aftermath) -> Iterator[str]:
    """An attempt is dispatched once; a task that is not idempotent runs again on its own word."""
    dispatched = Counter((run.task_id, run.attempt) for run in history.runs)
    for (task_id, attempt), times in dispatched.items():
        if times > 1:
            yield f"{task_id}: attempt {attempt} was dispatched {times} times"
    ran = Counter(run.task_id for run in history.runs if not run.refused)
    for task_id, times in ran.items():
        remains = aftermath.get(task_id)
        if remains is None:
            yield f"{task_id} ran, and the gateway does not know it"
        elif times > 1 and not _may_run_again(history, remains, times):
            yield f"{task_id} ran {times} times and is not idempotent"


def what_a_worker_was_told_holds(history: History, aftermath: Aftermath) -> Iterator[str]:
    """A report that was taken has its effect, whatever came afterwards."""
    for told in history.told:
        remains = aftermath.get(told.task_id)
        if remains is None:
            yield f"{told.task_id}: a report was answered {told.code}, and it is lost"
            continue
        if told.code == 404:
            yield f"{told.task_id}: the gateway did not know it"
        if told.code != 200:
            continue
        last, said, answered = remains.task, told.said, told.answer["status"]
        if answered in FINAL and answered != last["status"]:
            yield f"{told.task_id}: a report was answered {answered}, it ended {last['status']}"
        result = last.get("result")
        if answered == said["status"] == "COMPLETED" and said["result"] != result:
            yield f"{told.task_id}: {said['result']} was taken, {result} is there"
        if answered == "PROCESSING" and not _logged(remains, told.attempt, said["message"]):
            yield f"{told.task_id}: {said['message']!r} was taken and is not among the events"


def events_have_no_holes(history: History, aftermath: Aftermath) -> Iterator[str]:
    """A task's events are numbered from 1 on, and watchers got just these, each once."""
    for task_id, remains in aftermath.items():
        numbers = [event["seq"] for event in remains.events]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{task_id}: events {numbers}"
        statuses = [event["status"] for event in remains.events]
        if not statuses or statuses[-1] != remains.task["status"]:
            yield f"{task_id}: events say {statuses}, the task {remains.task['status']}"
        if _ends(remains) > 1:
            yield f"{task_id}: events after its end: {statuses}"
    for task_id, got in history.watched:
        known = aftermath[task_id].events if task_id in aftermath else []
        if [_core(event) for event in got] != [_core(event) for event in known[: len(got)]]:
            yield f"{task_id}: a watcher got {got}, the events are {known}"


def onlookers_get_each_event_once(history: History, aftermath: Aftermath) -> Iterator[str]:
    """Who watches all tasks gets each event once and in order, and nobody is shown all anew.

    That would be if their cursor meant nothing any more: no event is dropped meanwhile.
    """
    for onlooking in history.onlooking:
        if onlooking.restarts:
            yield f"{onlooking.where}: {onlooking.restarts} snapshots in place of events"
        for task_id in aftermath.keys() | onlooking.events.keys():
            got = [_stage(event) for event in onlooking.events.get(task_id, ())]
            remains = aftermath.get(task_id)
            known = [] if remains is None else [_stage(event) for event in remains.events]
            # A late result may come after what is known.
            numbers = [*range(1, len(got) + 1)]
            if got[: len(known)] != known or [seq for seq, *_ in got] != numbers:
                yield f"{task_id}: {onlooking.where} got {got}, the events are {known}"


def attempts_are_whole(history: History, aftermath: Aftermath) -> Iterator[str]:
    """Attempts are numbered from 1 on, all have ended, and every run belongs to one."""
    ran: dict[str, set[int]] = {}
    for run in history.runs:
        ran.setdefault(run.task_id, set()).add(run.attempt)
    for task_id, remains in aftermath.items():
        numbers = [attempt["number"] for attempt in remains.attempts]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{task_id}: attempts {numbers}"
        if any(attempt["outcome"] == "RUNNING" for attempt in remains.attempts):
            yield f"{task_id}: an attempt is still open: {remains.attempts}"
        if not ran.get(task_id, set()) <= set(numbers):
            yield f"{task_id}: attempts {sorted(ran[task_id])} ran, it knows {numbers}"


def every_end_has_a_reason(history: History, aftermath: Aftermath) -> Iterator[str]:
    """A task ends as its plan says, as somebody asked, or as the rules for a crash say."""
    for task_id, remains in aftermath.items():
        wish, task = history.wishes.get(_number(remains)), remains.task
        if wish is None:
            continue
        match task["status"]:
            case "COMPLETED":
                # By its latest attempt: an earlier one may not report any more.
                by = task["result"]["number"], task["result"]["attempt"]
                fine = wish.plan is not Plan.FAIL and by == (wish.number, task["attempt"])
            case "CANCELLED":
                fine = task_id in history.cancels
            case "TIMEOUT":
                # Whether a worker has it, only the worker knew.
                fine = wish.asynchronous and task.get("details") == {"phase": "attempt"}
            case "FAILED" if task["code"] == PLANNED:
                fine = wish.plan in (Plan.FAIL, Plan.AGAIN)
            case _:
                used_up = len(remains.attempts) >= task["maxAttempts"]
                reason = task.get("details", {}).get("reason")
                fine = bool(reason) and (used_up or not wish.idempotent)
        if not fine:
            yield f"{task_id}: no reason to end like this: {wish} {task}"


def every_end_is_told_under_one_name(history: History, aftermath: Aftermath) -> Iterator[str]:
    """A webhook takes each end at least once, nothing else, and what comes twice is the same."""
    if not history.listened:
        return
    ends = {
        f"{task_id}_{event['seq']}": event["status"]
        for task_id, remains in aftermath.items()
        for event in remains.events
        if event["kind"] == "FINISHED"
    }
    first = {heard.id: heard.said for heard in reversed(history.heard)}
    for heard in history.heard:
        if heard.id not in ends:
            yield f"{heard.id} was told, and is no end"
        elif heard.said["data"]["status"] != ends[heard.id]:
            yield f"{heard.id} was told as {heard.said}, it is {ends[heard.id]}"
        if heard.said != first[heard.id]:
            yield f"{heard.id} was told as {first[heard.id]}, and as {heard.said}"
    for name in ends.keys() - {heard.id for heard in history.heard if heard.taken}:
        yield f"{name} ended, and its webhook never took that"


_RULES = (
    what_was_acknowledged_exists_and_has_ended,
    a_wish_makes_one_task_at_most,
    a_task_ends_once,
    what_may_not_run_twice_does_not,
    what_a_worker_was_told_holds,
    events_have_no_holes,
    onlookers_get_each_event_once,
    attempts_are_whole,
    every_end_has_a_reason,
    every_end_is_told_under_one_name,
)


def _number(remains: Remains) -> int:
    return int(remains.task["labels"]["number"])


def _may_run_again(history: History, remains: Remains, times: int) -> bool:
    wish = history.wishes.get(_number(remains))
    if wish is None or wish.idempotent:
        return True
    # A worker that died may have begun what it had not acknowledged yet: nobody can know.
    began = {
        run.attempt for run in history.runs if run.streamed and run.task_id == remains.task["id"]
    }
    untaken = sum(
        attempt["outcome"] == "REFUSED" and attempt["number"] in began
        for attempt in remains.attempts
    )
    more: int = untaken + (wish.plan is Plan.AGAIN)
    return times <= 1 + more


def _ends(remains: Remains) -> int:
    """Counts the events that may only come last; a late result is none of them."""
    return sum(
        event["status"] in FINAL and event["kind"] != "LATE_RESULT" for event in remains.events
    )


def _logged(remains: Remains, attempt: int, message: str) -> bool:
    return any(
        event["attempt"] == attempt and event.get("message") == message for event in remains.events
    )


def _stage(event: Json) -> tuple[Any, ...]:
    return tuple(event.get(name) for name in ("seq", "kind", "status", "attempt"))


def _core(event: Json) -> tuple[object, ...]:
    return tuple(
        event.get(name)
        for name in ("seq", "kind", "status", "progress", "message", "attempt", "time")
    )
