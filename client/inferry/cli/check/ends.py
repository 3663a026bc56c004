"""What has to come of a dispatch: an acceptance, a result, a final report."""

from inferry.cli.check.backend import Dispatch
from inferry.cli.check.finding import BrokenContractError
from inferry.cli.check.work import Patience, SkippedError, Work
from inferry.server.task.failure import Failure
from inferry.server.task.inputs import Accept, Input, Succeed
from inferry.server.task.reports import Report


def long_payload(work: Work) -> bytes:
    """Gives the long work.

    Raises:
        SkippedError: There is none.
    """
    if work.long_payload is None:
        raise SkippedError("give --long-payload work of some seconds that tells its progress")
    return work.long_payload


def result_of(end: Input | Failure) -> bytes:
    """Gives the result that a synchronous task was answered with.

    Raises:
        BrokenContractError: There is none.
    """
    if isinstance(end, Succeed):
        return end.result
    if isinstance(end, Failure):
        raise BrokenContractError(f"the task failed: {end.error}", "give --payload what it can do")
    raise BrokenContractError("there is no result", 'answer {"status":"success","result":…}')


def expect_acceptance(dispatch: Dispatch) -> None:
    """Looks whether an asynchronous task was accepted.

    Raises:
        BrokenContractError: It was refused, or has ended already.
    """
    if isinstance(dispatch.meaning, Failure):
        raise BrokenContractError(
            dispatch.meaning.error, 'answer {"status":"accepted"} to a task with a callback_url'
        )
    if not isinstance(dispatch.meaning, Accept):
        raise BrokenContractError(
            "the work ended before it could be looked at",
            "give --long-payload work of some seconds",
        )


async def end_of(dispatch: Dispatch, patience: Patience) -> Report:
    """Waits for the final report of an accepted task.

    Raises:
        BrokenContractError: None came in time, or one that cannot be read.
    """
    expect_acceptance(dispatch)
    within_s = patience.task_s + patience.grace_s
    report = await dispatch.attempt.end(within_s)
    if dispatch.attempt.flaws:
        raise BrokenContractError(
            f"a callback cannot be read: {dispatch.attempt.flaws[0]}",
            'send {"status":"PROCESSING|COMPLETED|FAILED", …} as a JSON object',
        )
    if report is None:
        raise BrokenContractError(
            f"no final report came within {within_s:g} s",
            "PUT the end to the callback_url as it came, its query included",
        )
    return report
