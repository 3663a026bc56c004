"""A backend that breaks its contract is told what to mend, by the right line of the table."""

from collections.abc import Set as AbstractSet
from dataclasses import replace
from secrets import token_bytes

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from inferry.cli.check.backend import Backend
from inferry.cli.check.callbacks import listening
from inferry.cli.check.finding import Finding, Verdict
from inferry.cli.check.http_checks import check
from inferry.cli.check.work import Patience, Work
from tests.cli.check.scripted import BAD, LONG, QUICK, ScriptedBackend

SECRET = token_bytes(48)
#: The long work takes 0.4 s.
PATIENCE = Patience(task_s=10, short_s=0.1, grace_s=1, repeated_s=10, listened_s=1)
WORK = Work(QUICK, LONG, BAD, PATIENCE)
#: For work that never ends; on a busy machine, too, the long work is done before its time is over.
IMPATIENT = Work(QUICK, LONG, BAD, replace(PATIENCE, task_s=2, repeated_s=0.5))


async def findings(faults: AbstractSet[str], work: Work = WORK) -> dict[str, Finding]:
    async with (
        aiohttp.ClientSession() as http,
        listening("127.0.0.1", 0, None, SECRET) as callbacks,
    ):
        scripted = ScriptedBackend(http, faults)
        async with TestServer(scripted.application()) as server:
            url = str(server.make_url("")).rstrip("/")
            found = [one async for one in check(Backend(http, url, callbacks, "t"), work)]
            await scripted.close()
    return {one.name: one for one in found}


def odd(found: dict[str, Finding]) -> dict[str, Verdict]:
    return {name: one.verdict for name, one in found.items() if one.verdict is not Verdict.PASS}


async def test_a_backend_that_keeps_its_contract_passes_every_check() -> None:
    found = await findings(frozenset())
    assert odd(found) == {}
    assert list(found) == [
        "health",
        "sync",
        "async",
        "progress",
        "error",
        "bad JSON",
        "duplicate",
        "repeat",
        "timeout",
        "cancel",
        "caller",
    ]


async def test_an_answer_in_many_parts_is_read_whole() -> None:
    assert odd(await findings({"large"})) == {}


@pytest.mark.parametrize(
    ("fault", "lines"),
    [
        ("ill", {"health": Verdict.FAIL, "bad JSON": Verdict.FAIL}),
        ("no load", {"health": Verdict.WARN}),
        ("no result", {"sync": Verdict.FAIL}),
        ("falls", {"progress": Verdict.FAIL}),
        ("silent", {"progress": Verdict.WARN}),
        ("never fails", {"error": Verdict.FAIL}),
        ("no word", {"error": Verdict.FAIL}),
        ("crashes", {"bad JSON": Verdict.FAIL}),
        ("runs twice", {"duplicate": Verdict.FAIL}),
        ("once", {"repeat": Verdict.FAIL}),
        ("late", {"timeout": Verdict.WARN}),
        ("no cancel", {"cancel": Verdict.WARN}),
        ("bad cancel", {"cancel": Verdict.FAIL}),
        ("deaf", {"cancel": Verdict.FAIL}),
    ],
)
async def test_a_fault_is_found_by_its_line_and_by_no_other(
    fault: str, lines: dict[str, Verdict]
) -> None:
    found = await findings({fault}, IMPATIENT if fault == "once" else WORK)
    assert odd(found) == lines
    assert all(found[name].remedy for name in lines)


@pytest.mark.parametrize("fault", ["no end", "no token", "no JSON"])
async def test_an_end_that_never_arrives_fails_what_waits_for_it(fault: str) -> None:
    found = await findings({fault}, IMPATIENT)
    assert {"async", "progress", "duplicate", "repeat"} <= set(odd(found))


async def test_a_check_that_lacks_its_work_is_skipped_and_says_what_it_needs() -> None:
    found = await findings(frozenset(), Work(QUICK, None, None, PATIENCE))
    assert odd(found) == dict.fromkeys(
        ("progress", "error", "duplicate", "timeout", "cancel"), Verdict.SKIP
    )
    assert "--long-payload" in found["cancel"].remedy
    assert "--bad-payload" in found["error"].remedy


async def test_a_backend_that_is_not_there_fails_every_check_and_none_breaks() -> None:
    async with (
        aiohttp.ClientSession() as http,
        listening("127.0.0.1", 0, None, SECRET) as callbacks,
    ):
        backend = Backend(http, "http://127.0.0.1:1", callbacks, "t")
        found = [one async for one in check(backend, WORK)]
    assert {one.verdict for one in found} == {Verdict.FAIL}
    assert "http://127.0.0.1:1" in found[0].remedy
