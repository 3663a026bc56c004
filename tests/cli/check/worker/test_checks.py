"""A worker that breaks its contract is told what to mend, by the right line of the table."""

import asyncio
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

import pytest

from inferry.backend.testing.grpc import GrpcGateway
from inferry.cli.check.finding import Finding, Verdict
from inferry.cli.check.work import Patience, Work
from inferry.cli.check.worker.checks import check
from inferry.cli.check.worker.limits import Limits, welcome_of
from inferry.cli.check.worker.peer import Peer
from tests.cli.check.worker.scripted import BAD, LONG, QUICK, ScriptedWorker

LIMITS = Limits(
    interval_s=0.3, acknowledged_s=1.0, back_s=2.0, stopped_s=2.0, reconnect_s=0.3, given_up_s=5.0
)
PATIENCE = Patience(task_s=10, short_s=0.3, grace_s=1, repeated_s=1, listened_s=0.5)
WORK = Work(QUICK, LONG, BAD, PATIENCE)
TOKEN = "the token"
#: The lines that are odd where a fault is.
FAULTS: Mapping[str, Mapping[str, Verdict]] = {
    "no name": {"hello": Verdict.FAIL},
    "no token": {"hello": Verdict.FAIL},
    "every type": {"hello": Verdict.WARN},
    "boasts": {"credit": Verdict.WARN},
    "no ack": {"ack": Verdict.WARN},
    "falls": {"progress": Verdict.FAIL},
    "no word": {"error": Verdict.FAIL},
    "runs twice": {"duplicate": Verdict.FAIL},
    "completes": {"cancel": Verdict.FAIL, "not held": Verdict.FAIL},
    "deaf": {"cancel": Verdict.FAIL},
    "mute": {"not yours": Verdict.FAIL},
    "late": {"timeout": Verdict.WARN},
    "wrong hash": {"heartbeat": Verdict.FAIL, "not held": Verdict.FAIL},
    "no list": {"list": Verdict.FAIL},
    "empty list": {"list": Verdict.FAIL},
    "drops": {"again": Verdict.FAIL},
    "once": {"resend": Verdict.FAIL},
    "new numbers": {"resend": Verdict.FAIL},
    "no chunks": {"chunks": Verdict.FAIL},
    "no held": {"ends": Verdict.FAIL, "reconnect": Verdict.FAIL},
    "goes on": {"not held": Verdict.FAIL},
    "hasty": {"reconnect": Verdict.FAIL},
    "stays": {"reconnect": Verdict.WARN},
    "patient": {"silence": Verdict.FAIL},
}
#: At once: most of their time they wait.
AT_ONCE = 6
#: Nobody but a command that the checker started can be stopped.
UNSTARTED = {"goodbye": Verdict.SKIP, "refusal": Verdict.SKIP}


async def findings(faults: AbstractSet[str], work: Work = WORK) -> dict[str, Finding]:
    async with GrpcGateway(welcome_of(LIMITS)) as gateway:
        worker = asyncio.create_task(ScriptedWorker(gateway.address, TOKEN, faults).run())
        peer = Peer(gateway, TOKEN, "t", LIMITS)
        try:
            async with peer.beating():
                found = [one async for one in check(peer, work)]
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
    return {one.name: one for one in found}


def odd(found: Mapping[str, Finding]) -> dict[str, Verdict]:
    return {name: one.verdict for name, one in found.items() if one.verdict is not Verdict.PASS}


async def test_a_worker_that_keeps_its_contract_passes_every_check() -> None:
    found = await findings(frozenset())
    assert odd(found) == UNSTARTED, found
    assert len(found) == 24


@pytest.fixture(scope="module")
def found_by_fault() -> Mapping[str, Mapping[str, Finding]]:
    """What is found of each fault."""
    return asyncio.run(_found_by_fault())


async def _found_by_fault() -> Mapping[str, Mapping[str, Finding]]:
    free = asyncio.Semaphore(AT_ONCE)

    async def found(fault: str) -> dict[str, Finding]:
        async with free:
            return await findings({fault})

    all_found = await asyncio.gather(*map(found, FAULTS))
    return dict(zip(FAULTS, all_found, strict=True))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_its_line_and_by_no_other(
    fault: str, found_by_fault: Mapping[str, Mapping[str, Finding]]
) -> None:
    found = found_by_fault[fault]
    assert odd(found) == {**FAULTS[fault], **UNSTARTED}, found
    assert all(found[name].remedy for name in FAULTS[fault])


async def test_a_report_after_the_end_is_found() -> None:
    assert (await findings({"chatty"}))["progress"].text == "a report came after the final one"


async def test_credit_that_is_counted_as_a_window_is_found() -> None:
    found = await findings({"window"}, replace(WORK, patience=replace(PATIENCE, task_s=1)))
    assert found["credit"].verdict is Verdict.FAIL
    assert "granted_total stayed 4" in found["credit"].text


async def test_a_worker_that_takes_an_end_for_the_last_one_is_found() -> None:
    found = await findings({"ends with OK"})
    assert found["ends"].verdict is Verdict.FAIL
    assert found["ends"].text.startswith("no stream was opened within")


async def test_a_check_that_lacks_its_work_is_skipped_and_says_what_it_needs() -> None:
    found = await findings(frozenset(), Work(QUICK, None, None, PATIENCE))
    lacking = ("progress", "error", "duplicate", "cancel", "timeout", "not held")
    assert odd(found) == dict.fromkeys(lacking, Verdict.SKIP) | UNSTARTED
    assert "--long-payload" in found["cancel"].remedy
    assert "--bad-payload" in found["error"].remedy
    assert "-- COMMAND" in found["goodbye"].remedy
