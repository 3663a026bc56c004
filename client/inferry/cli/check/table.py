"""Makes checks one by one; each has a line, whatever comes of the others."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

from inferry.cli.check.finding import BrokenContractError, Finding, Verdict
from inferry.cli.check.work import SkippedError, Work

Subject = TypeVar("Subject")


async def findings(
    checks: Mapping[str, Callable[[Subject, Work], Awaitable[str | Finding]]],
    subject: Subject,
    work: Work,
) -> AsyncIterator[Finding]:
    """Makes all checks, in their order.

    Args:
        checks: By their names; one that passes gives what was seen.
        subject: What is checked.
        work: What it is to do.
    """
    for name, one in checks.items():
        try:
            seen = await one(subject, work)
        except BrokenContractError as broken:
            yield Finding(name, Verdict.FAIL, str(broken), broken.remedy)
        except SkippedError as needs:
            yield Finding(name, Verdict.SKIP, "not made", str(needs))
        else:
            yield seen if isinstance(seen, Finding) else Finding(name, Verdict.PASS, seen)
