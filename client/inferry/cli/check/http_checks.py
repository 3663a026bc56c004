"""The checks of an HTTP backend, in the order of its table (guide: "Backend Integration")."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from itertools import pairwise

from inferry.cli.check.backend import Backend
from inferry.cli.check.ends import end_of, expect_acceptance, long_payload, result_of
from inferry.cli.check.finding import BrokenContractError, Finding, Verdict
from inferry.cli.check.table import findings
from inferry.cli.check.work import SkippedError, Work
from inferry.server.carriers.http.health import read_health
from inferry.server.task.failure import Failure
from inferry.server.task.inputs import Succeed
from inferry.server.task.record import Status

_UNAUTHENTICATED, _FORBIDDEN, _UNAVAILABLE = 401, 403, 503
#: Statuses by which a backend does not let a caller in.
_REFUSALS = frozenset({_UNAUTHENTICATED, _FORBIDDEN})

Check = Callable[[Backend, Work], Awaitable[str | Finding]]


def check(backend: Backend, work: Work) -> AsyncIterator[Finding]:
    """Makes all checks."""
    return findings(_CHECKS, backend, work)


async def _health(backend: Backend, _work: Work) -> str | Finding:
    answer = await backend.health()
    load, error, _ = read_health(answer.status, answer.body)
    if error:
        anonymous = await backend.health({})
        if not read_health(anonymous.status, anonymous.body)[1]:
            # It is healthy to whoever has no token: ours is what it does not take.
            raise BrokenContractError(error, backend.how_to_be_known())
        raise BrokenContractError(error, 'answer GET /health with {"status":"healthy"}')
    if load is None:
        remedy = 'add "load": {"cpu", "memory", "active_tasks", "queue_length"}'
        return Finding("health", Verdict.WARN, "healthy, and says nothing of its load", remedy)
    return f"healthy, {load.active_tasks} active, {load.queue_length} in its queue"


async def _sync(backend: Backend, work: Work) -> str:
    end = await backend.run(work.payload, work.patience.task_s)
    return f"a result of {len(result_of(end)):,} bytes"


async def _async(backend: Backend, work: Work) -> str:
    dispatch = await backend.start(work.payload, work.patience.task_s)
    if isinstance(dispatch.meaning, Succeed):
        return "answered with the result at once"
    report = await end_of(dispatch, work.patience)
    if report.status is not Status.COMPLETED:
        raise BrokenContractError(
            f"the task ended as {report.status.name}: {report.error or 'without an error'}",
            "give --payload what the backend can do",
        )
    return f"accepted, {len(dispatch.attempt.reports)} callbacks, COMPLETED"


async def _progress(backend: Backend, work: Work) -> str | Finding:
    dispatch = await backend.start(long_payload(work), work.patience.task_s)
    await end_of(dispatch, work.patience)
    told = [one.progress for one in dispatch.attempt.reports if one.progress is not None]
    under_way = [one for one in dispatch.attempt.reports if not one.status.final]
    if not under_way:
        remedy = 'send {"status":"PROCESSING","progress":50} to the callback URL now and then'
        return Finding("progress", Verdict.WARN, "none was told", remedy)
    if any(later < earlier for earlier, later in pairwise(told)):
        raise BrokenContractError(
            f"it fell: {', '.join(f'{one:g}' for one in told)}",
            "let it only grow within an attempt",
        )
    if not dispatch.attempt.reports[-1].status.final:
        raise BrokenContractError(
            "a report came after the final one", "send the reports of an attempt one by one"
        )
    return f"{len(under_way)} reports"


async def _error(backend: Backend, work: Work) -> str:
    if work.bad_payload is None:
        raise SkippedError("give --bad-payload work that ends with an error")
    end = await backend.run(work.bad_payload, work.patience.task_s)
    if not isinstance(end, Failure):
        raise BrokenContractError(
            "work that should fail ended well", 'answer {"status":"error","error":…,"code":…}'
        )
    if end.error.startswith("the server answered"):
        raise BrokenContractError(
            end.error, 'answer {"status":"error","error":…,"code":…}, whatever went wrong'
        )
    return f"{end.code}: {end.error[:60]}"


async def _bad_json(backend: Backend, _work: Work) -> str:
    for body in (b"{", b"[]", b'{"id":"task_check"}', b"\xff"):
        answer = await backend.raw(body)
        if answer.status >= 500:  # noqa: PLR2004  # the 5xx class
            raise BrokenContractError(
                f"POST /process with {body!r} answered {answer.status}",
                "answer 400, or an error in the answer: who calls is told what is wrong",
            )
    health = await backend.health()
    if read_health(health.status, health.body).error:
        raise BrokenContractError("it is not healthy after bad requests", "survive them")
    return "refused, and healthy after it"


async def _duplicate(backend: Backend, work: Work) -> str:
    dispatch, again = await backend.twice(long_payload(work), work.patience.task_s)
    if again.status >= 500:  # noqa: PLR2004  # the 5xx class
        raise BrokenContractError(
            f"the same attempt came again and was answered with {again.status}",
            "answer the second like the first: the call that brought the first may have broken off",
        )
    await end_of(dispatch, work.patience)
    # A second run would end about now.
    await dispatch.attempt.ends(2, work.patience.listened_s)
    if len({report.digest for report in dispatch.attempt.finals}) > 1:
        raise BrokenContractError(
            "the same attempt came twice and ran twice, with different ends",
            "know an attempt by its id and attempt, and run it once",
        )
    return "taken once"


async def _repeat(backend: Backend, work: Work) -> str:
    dispatch = await backend.start(work.payload, work.patience.task_s, refusals=1)
    if isinstance(dispatch.meaning, Succeed):
        raise SkippedError("it answers with the result at once: there is no callback to repeat")
    expect_acceptance(dispatch)
    await dispatch.attempt.end(work.patience.task_s + work.patience.repeated_s)
    if not dispatch.attempt.refused:
        raise BrokenContractError("no final report came", "report the end to the callback URL")
    if not dispatch.attempt.finals:
        raise BrokenContractError(
            f"a final callback that was answered with 503 did not come again within "
            f"{work.patience.repeated_s:g} s",
            "repeat a callback after a 5xx or a broken connection: else the work is lost",
        )
    return "repeated after a 503"


async def _timeout(backend: Backend, work: Work) -> str | Finding:
    short_s = work.patience.short_s
    dispatch = await backend.start(long_payload(work), short_s)
    if isinstance(dispatch.meaning, Failure):
        return "refused: not enough time"
    report = await dispatch.attempt.end(short_s + work.patience.grace_s)
    if report is None:
        await backend.cancel(dispatch.task_id)
        remedy = (
            'stop at the timeout that came with the task, and report {"status":"TIMEOUT"}: '
            "the gateway ends the task, and the work would go on for nobody"
        )
        return Finding("timeout", Verdict.WARN, f"nothing came within {short_s:g} s", remedy)
    if report.status is Status.COMPLETED:
        seen = f"it completed, though it had {short_s:g} s"
        return Finding("timeout", Verdict.WARN, seen, "give --long-payload what takes longer")
    return f"{report.status.name} in time"


async def _cancel(backend: Backend, work: Work) -> str | Finding:
    dispatch = await backend.start(long_payload(work), work.patience.task_s)
    expect_acceptance(dispatch)
    await dispatch.attempt.begun(work.patience.short_s)
    answer = await backend.cancel(dispatch.task_id)
    if answer.status in (404, 405, 501):
        remedy = "answer POST /cancel {id, attempt}: the slot is free at once then"
        return Finding("cancel", Verdict.WARN, "there is no POST /cancel", remedy)
    if not 200 <= answer.status < 300:  # noqa: PLR2004  # the 2xx class
        raise BrokenContractError(
            f"POST /cancel answered {answer.status}", "answer 200 when the work stops"
        )
    await dispatch.attempt.end(work.patience.listened_s)
    if any(report.status is Status.COMPLETED for report in dispatch.attempt.finals):
        raise BrokenContractError(
            "work that was cancelled completed all the same", "stop it before answering"
        )
    return "stopped"


async def _caller(backend: Backend, work: Work) -> str:
    task = work.payload, work.patience.task_s
    if (await backend.stranger(*task, {})).status not in _REFUSALS:
        return "takes work of everybody who reaches it: it verifies no tokens"
    if (await backend.health()).status in _REFUSALS | {_UNAVAILABLE}:
        raise SkippedError(backend.how_to_be_known())
    for what, headers in backend.forged():
        answer = await backend.stranger(*task, headers)
        if answer.status not in _REFUSALS | {_UNAVAILABLE}:
            raise BrokenContractError(
                f"it takes work by a token with {what}",
                "verify its signature, by EdDSA alone, its aud and its exp",
            )
    if (await backend.elsewhere(*task)).status not in _REFUSALS:
        raise BrokenContractError(
            "it takes a callback URL that is not its gateway's",
            "see that the callback_url begins with the token's iss and a slash",
        )
    return "takes work of its gateway alone"


_CHECKS: Mapping[str, Check] = {
    "health": _health,
    "sync": _sync,
    "async": _async,
    "progress": _progress,
    "error": _error,
    "bad JSON": _bad_json,
    "duplicate": _duplicate,
    "repeat": _repeat,
    "timeout": _timeout,
    "cancel": _cancel,
    "caller": _caller,
}
