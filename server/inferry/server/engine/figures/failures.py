"""Groups of failures: those of one type, code and normalised message."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from inferry.server.figures.failures import fingerprint_of, normal_of
from inferry.server.store import Store
from inferry.server.store.figures import Failure

#: Failures that are looked at, the latest; and groups that are shown of them.
FAILURES_LIMIT = 10_000
GROUPS_LIMIT = 200
#: Parts of the time that is looked at: each group has a count for each.
_COLUMNS = 48
#: Read at once; others have their turn in between.
_PAGE = 500


@dataclass(slots=True)
class Group:
    """Failures that are alike."""

    type: str
    code: str
    #: With placeholders for what differs.
    message: str
    fingerprint: str
    #: The latest of them.
    sample: str
    first_ms: int
    last_ms: int
    count: int = 0
    counts: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Failures:
    """What failed in a span of time."""

    from_s: int
    step_s: int
    #: Those with the latest failures first.
    groups: Sequence[Group]
    #: Whether there are more failures, or groups.
    more: bool


async def failures_of(store: Store, task_type: str, from_s: int, to_s: int) -> Failures:
    """Groups the latest failures.

    Args:
        store: Has them.
        task_type: Only those of this type; "" for all.
        from_s: They ended in this second or later.
        to_s: They ended before this one.
    """
    step_s = -(-(to_s - from_s) // _COLUMNS)
    grouping = _Grouping(from_s, step_s, -(-(to_s - from_s) // step_s))
    before, seen, more = (1_000 * to_s, 0), 0, True
    while more and seen < FAILURES_LIMIT:
        page = await store.failures(1_000 * from_s, before, _PAGE)
        for failure in page:
            if task_type in ("", failure.type):
                grouping.add(failure)
        seen, more = seen + len(page), len(page) == _PAGE
        if page:
            before = page[-1].finished_ms, page[-1].number
        await asyncio.sleep(0)
    groups = grouping.groups
    return Failures(from_s, step_s, groups[:GROUPS_LIMIT], more or len(groups) > GROUPS_LIMIT)


class _Grouping:
    """Puts failures together that come latest first."""

    def __init__(self, from_s: int, step_s: int, columns: int) -> None:
        self._from_s, self._step_s, self._columns = from_s, step_s, columns
        self._groups: dict[str, Group] = {}
        #: By what a failure says itself: most say the same again.
        self._known: dict[tuple[str, str, str], Group] = {}

    @property
    def groups(self) -> list[Group]:
        """All groups: that of the latest failure first."""
        return list(self._groups.values())

    def add(self, failure: Failure) -> None:
        """Adds a failure that is no later than those before."""
        said = failure.type, failure.code, failure.error
        group = self._known.get(said)
        if group is None:
            group = self._known[said] = self._group_of(failure)
        group.count += 1
        group.first_ms = failure.finished_ms
        group.counts[(failure.finished_ms // 1_000 - self._from_s) // self._step_s] += 1

    def _group_of(self, failure: Failure) -> Group:
        fingerprint = fingerprint_of(failure.type, failure.code, failure.error)
        group = self._groups.get(fingerprint)
        if group is None:
            group = self._groups[fingerprint] = Group(
                type=failure.type,
                code=failure.code,
                message=normal_of(failure.error),
                fingerprint=fingerprint,
                sample=failure.task_id,
                first_ms=failure.finished_ms,
                last_ms=failure.finished_ms,
                counts=[0] * self._columns,
            )
        return group
