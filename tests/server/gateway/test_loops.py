"""Retention, run by hand, and gaps in old events."""

from inferry.server.access.tokens import Role
from inferry.server.engine.alarm import Alarm
from inferry.server.engine.company import Company
from inferry.server.engine.sweeper import Sweeper
from inferry.server.store import EVENTS_KEPT
from tests.backends import ACCEPTED, Backend
from tests.gateways import Running, token


async def purge(gateway: Running, tombstone_ms: int) -> None:
    inside = gateway.gateway
    await Sweeper(
        engine=inside._cases.engine,
        store=inside._store,
        alarm=Alarm(inside._clock),
        clock=inside._clock,
        company=Company(),
        restart_grace_ms=0,
        purge_interval_ms=0,
        tombstone_ms=tombstone_ms,
    ).run_once()


async def test_a_task_is_gone_when_its_retention_is_over_and_later_unknown(
    gateway: Running, backend: Backend
) -> None:
    await gateway.register(backend)
    task = await gateway.create(resultTtl=1, **{"async": False})
    kept = await gateway.create(**{"async": False})
    path = f"/api/tasks/{task['id']}"
    await purge(gateway, tombstone_ms=60_000)
    for verb in ("GET", "DELETE"):
        status, body = await gateway.call(verb, path)
        assert (status, body["code"]) == (410, "GONE")
        stranger = token(Role.CLIENT, tenant="other")
        status, body = await gateway.call(verb, path, auth=stranger)
        assert (status, body["code"]) == (404, "NOT_FOUND")
    assert (await gateway.task(kept["id"]))["status"] == "COMPLETED"


async def test_a_watcher_that_comes_too_late_for_old_events_gets_a_gap_and_the_task(
    gateway: Running, backend: Backend
) -> None:
    backend.answer = ACCEPTED
    await gateway.register(backend)
    task = await gateway.create()
    job = await backend.next_job()
    for step in range(EVENTS_KEPT):
        await backend.report(job, status="PROCESSING", message=f"step {step}")
    await backend.report(job, status="COMPLETED", result=1)
    gap, *events = await gateway.events(task["id"])
    assert (gap["kind"], gap["task"]["status"]) == ("GAP", "COMPLETED")
    assert [event["seq"] for event in events] == list(
        range(gap["seq"] + 1, gap["seq"] + 1 + EVENTS_KEPT)
    )
    assert events[-1]["status"] == "COMPLETED"
