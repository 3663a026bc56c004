"""The use cases of pauses: hold the tasks of a type back, and let them go again."""

from functools import partial

from inferry.server.clock import Clock
from inferry.server.engine.committer import Committer
from inferry.server.engine.pause_ledger import PauseLedger
from inferry.server.store.operations import PauseType, ResumeType
from inferry.server.task.pause import PausedType


class Pauses:
    """All that can happen to types of tasks."""

    def __init__(self, committer: Committer, ledger: PauseLedger, clock: Clock) -> None:
        self._committer = committer
        self._ledger = ledger
        self._clock = clock

    async def pause(self, task_type: str, reason: str) -> None:
        """Starts no more tasks of a type, from before this returns on; again renews the reason."""
        paused = PausedType(task_type, reason, self._clock.now_ms())
        before = self._ledger.pause(paused)
        settle = partial(self._ledger.paused, paused=paused, before=before)
        await self._committer.do(PauseType(paused), settle)

    async def resume(self, task_type: str) -> None:
        """Ends a pause; no error if there is none."""
        settle = partial(self._ledger.resumed, task_type=task_type)
        await self._committer.do(ResumeType(task_type), settle)
