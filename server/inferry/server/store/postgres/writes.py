"""Writes a draft: few statements, whatever it holds; none for what it has nothing of."""

from collections.abc import Sequence

import orjson

from inferry.server.store import EVENTS_KEPT
from inferry.server.store.postgres.connections import Connection, fetch
from inferry.server.store.postgres.draft import Draft, Held
from inferry.server.store.postgres.queries import (
    ATTEMPTS_GIVEN,
    COUNTS_GIVEN,
    EVENTS_GIVEN,
    KEY_ID,
    LABELS_GIVEN,
    OUTCOMES_GIVEN,
    PAYLOADS_GIVEN,
    QUERIES,
    REPORTS_GIVEN,
    REQUEST_ID,
    STATES_GIVEN,
    TASKS_GIVEN,
    arrays,
)
from inferry.server.store.rows import (
    REPORT,
    Row,
    attempt_row,
    event_row,
    spec_row,
    state_row,
)
from inferry.server.task.record import NO_LABELS, Outcome

_REPORT_ENDS = len(REPORT)


async def write(db: Connection, draft: Draft, counts: Sequence[Row]) -> None:
    """Writes all that has to be, and what is counted of what waits."""
    await _write_keys(db, draft)
    await _insert_tasks(db, draft.added())
    await _update_tasks(db, draft)
    await _write_log(db, draft, counts)
    await _forget_events(db, draft)


async def _write_keys(db: Connection, draft: Draft) -> None:
    new, idle = draft.new_keys(), draft.idle_keys()
    if new:
        await db.execute(QUERIES["put_request_ids"], *arrays(new, REQUEST_ID))
    if idle:
        await db.execute(QUERIES["drop_request_ids"], *arrays(idle, KEY_ID))


async def _insert_tasks(db: Connection, added: Sequence[Held]) -> None:
    if not added:
        return
    tasks = [
        (held.position, *spec_row(held.record.spec), *state_row(held.record)) for held in added
    ]
    payloads = [(held.record.spec.id, held.payload) for held in added]
    labels = [
        (spec.id, label, value, spec.tenant)
        for spec in (held.record.spec for held in added)
        if spec.labels != NO_LABELS
        for label, value in orjson.loads(spec.labels).items()
    ]
    given = (
        *arrays(tasks, TASKS_GIVEN),
        *arrays(payloads, PAYLOADS_GIVEN),
        *arrays(labels, LABELS_GIVEN),
    )
    numbers: dict[str, int] = dict(await fetch(db, QUERIES["insert_tasks"], *given))
    for held in added:
        held.number = numbers[held.record.spec.id]


async def _update_tasks(db: Connection, draft: Draft) -> None:
    states: list[Row] = []
    only_reports = True
    for held, before in draft.changed():
        state = state_row(held.record)
        only_reports = only_reports and state[_REPORT_ENDS:] == state_row(before)[_REPORT_ENDS:]
        states.append((held.number, held.position, *state))
    if states and only_reports:
        reports = [row[: len(REPORTS_GIVEN)] for row in states]
        await db.execute(QUERIES["update_reports"], *arrays(reports, REPORTS_GIVEN))
    elif states:
        await db.execute(QUERIES["update_tasks"], *arrays(states, STATES_GIVEN))


async def _write_log(db: Connection, draft: Draft, counts: Sequence[Row]) -> None:
    """Writes events, and with them what attempts and tasks ended with."""
    cleared = [ended.held.number for ended in draft.ended.values() if ended.cleared]
    if cleared:
        await db.execute(QUERIES["clear_outcomes"], cleared)
    events = [(held.number, *event_row(event), position) for held, event, position in draft.events]
    attempts = [(held.number, *attempt_row(attempt)) for held, attempt in draft.attempts]
    outcomes = [
        (ended.held.number, *ended.outcome)
        for ended in draft.ended.values()
        if ended.outcome != Outcome()
    ]
    given = [*arrays(events, EVENTS_GIVEN), *arrays(counts, COUNTS_GIVEN)]
    if attempts or outcomes:
        given += (*arrays(attempts, ATTEMPTS_GIVEN), *arrays(outcomes, OUTCOMES_GIVEN))
        await db.execute(QUERIES["insert_events_and_ends"], *given)
    else:
        await db.execute(QUERIES["insert_events"], *given)


async def _forget_events(db: Connection, draft: Draft) -> None:
    old = {
        held.number: event.seq - EVENTS_KEPT
        for held, event, _ in draft.events
        if event.seq > EVENTS_KEPT
    }
    if old:
        await db.execute(QUERIES["forget_events"], list(old), list(old.values()))
