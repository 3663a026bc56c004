"""Gathers what decides about tasks; ``reasons`` puts it into words."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from inferry.server.clock import Clock
from inferry.server.engine.catch_up import CatchUp
from inferry.server.engine.outlook import Outlook
from inferry.server.engine.queue_view import QueueView
from inferry.server.engine.reader import Reader
from inferry.server.engine.reasons import Explanation, Surroundings, explain
from inferry.server.engine.signals import Place
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.record import ServerRecord
from inferry.server.fleet.verdict import Verdict
from inferry.server.task.record import TaskRecord
from inferry.server.task.route import route_of


@dataclass(frozen=True, slots=True)
class Explained:
    """A task's explanation, and what it was drawn from."""

    record: TaskRecord
    explanation: Explanation
    #: Where it stands in the queue; None when it does not wait for its turn.
    place: Place | None
    #: Of each server whether it may take the task, by name; none once it is final.
    verdicts: Sequence[tuple[ServerRecord, Verdict]]


class Explainer:
    """Gathers what decides about a task."""

    def __init__(
        self,
        *,
        reader: Reader,
        queue: QueueView,
        fleet: Fleet,
        clock: Clock,
        catch_up: CatchUp,
    ) -> None:
        self._reader = reader
        self._queue = queue
        self._fleet = fleet
        self._clock = clock
        self._catch_up = catch_up

    async def explain(self, task_id: str, tenant: str | None) -> Explained:
        """Explains a task as things are now.

        Raises:
            TaskNotFoundError: There is none, or it is not this tenant's.
            GoneError: Its retention is over.
        """
        record = await self._reader.task(task_id, tenant)
        await self._catch_up.now()
        now = self._clock.now_ms()
        route = route_of(record.spec.type, record.spec.capabilities)
        judged = [] if record.status.final else self._fleet.verdicts(route, now)
        place, pause = self._queue.place_of(record), self._queue.pause_of(record.spec.type)
        around = Surroundings(
            now_ms=now,
            rules=Counter(verdict.rule for _, verdict in judged),
            pause_reason=None if pause is None else pause.reason,
            place=place,
        )
        return Explained(record, explain(record, around), place, judged)

    def outlook(self) -> Outlook:
        """Takes a look at the servers, for those who ask of many tasks."""
        return Outlook(self._fleet.hindrances(), self._queue.pause_of)

    async def unserved(self, record: TaskRecord) -> str:
        """Tells of one task what ``unserved_of`` does; empty if it does not wait in vain."""
        return (await self.unserved_of((record,))).get(record.spec.id, "")

    async def unserved_of(self, records: Collection[TaskRecord]) -> dict[str, str]:
        """Tells why no server takes tasks as things are, by id: of those that wait in vain.

        Those that wait for a slot, for their turn or for their time are none of them.
        """
        found = self._unserved(records)
        if found:
            # Another replica may know of a server by now.
            await self._catch_up.now()
            found = self._unserved(records)
        return found

    def _unserved(self, records: Collection[TaskRecord]) -> dict[str, str]:
        outlook: Outlook | None = None
        found: dict[str, str] = {}
        for record in records:
            if record.waiting and not self._may_hope(record):
                outlook = outlook or self.outlook()
                why = outlook.hindrance(record)
                if why is not None:
                    found[record.spec.id] = f"{why.text}; {why.remedy}"
        return found

    def _may_hope(self, record: TaskRecord) -> bool:
        spec = record.spec
        unpaused = self._queue.pause_of(spec.type) is None
        return unpaused and self._fleet.reaches(route_of(spec.type, spec.capabilities))
