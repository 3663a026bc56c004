"""The use cases of pauses: hold the tasks of a type back, and let them go again."""

from functools import partial

from inferry.server.clock import Clock
from inferry.server.engine.committer import Committer
from inferry.server.engine.ledger import Ledger
from inferry.server.errors import InferryError
from inferry.server.store import PauseType, ResumeType
from inferry.server.task.pause import PausedType


class Pauses:
    """All that can happen to types of tasks."""

    def __init__(self, committer: Committer, ledger: Ledger, clock: Clock) -> None:
        self._committer = committer
        self._ledger = ledger
        self._backlog = ledger.backlog
        self._clock = clock

    async def pause(self, task_type: str, reason: str) -> None:
        """Starts no more tasks of a type, from before this returns on; again renews the reason."""
        paused = PausedType(task_type, reason, self._clock.now_ms())
        before = self._backlog.pause_of(task_type)
        self._backlog.pause(paused)
        await self._committer.do(PauseType(paused), partial(self._paused, paused, before))

    async def resume(self, task_type: str) -> None:
        """Ends a pause; no error if there is none."""
        await self._committer.do(ResumeType(task_type), partial(self._resumed, task_type))

    def _paused(
        self, paused: PausedType, before: PausedType | None, result: InferryError | None
    ) -> None:
        """Takes a pause back that is not on disk, unless another one has come since."""
        if result is None or self._backlog.pause_of(paused.type) is not paused:
            return
        if before is not None:
            self._backlog.pause(before)
        else:
            self._resumed(paused.type, None)

    def _resumed(self, task_type: str, result: InferryError | None) -> None:
        if result is None:
            self._backlog.resume(task_type)
            self._ledger.claimable.set()
