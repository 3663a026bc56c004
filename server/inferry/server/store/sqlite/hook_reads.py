"""What the SQLite store reads of webhooks: see ``HookReads`` for what each call does."""

from collections.abc import Sequence
from contextlib import suppress

from inferry.server.store import StoreError
from inferry.server.store.hook_rows import delivery_of, hook_of
from inferry.server.store.operations import Epoch
from inferry.server.store.sqlite.hooks import HookWrites
from inferry.server.store.sqlite.queries import HOOK_QUERIES
from inferry.server.store.sqlite.queue_reads import SqliteQueueReads
from inferry.server.store.webhooks import Addressees, Nobody
from inferry.server.task.hook import Delivery, Hook, Notice
from inferry.server.task.record import TaskRecord
from inferry.server.task.steps import Transition


class SqliteHookReads(SqliteQueueReads):
    """Finds webhooks, and what they are told."""

    epoch: Epoch

    def __init__(self) -> None:
        self.addressees: Addressees = Nobody()

    def _notices(self, before: TaskRecord, transition: Transition) -> Sequence[Notice]:
        """Asks whoever is to be asked by now."""
        return self.addressees.notices(before, transition)

    async def _pass_on(self, writes: HookWrites) -> None:
        """Tells the addressees what commits did to webhooks."""
        if writes.changed:
            # What cannot be read now is read after the next commit.
            with suppress(StoreError):
                self.addressees.know(await self.hooks(None))
                writes.changed = False
        if writes.told:
            self.addressees.wake()
            writes.told = False

    async def hook(self, hook_id: str, tenant: str | None) -> Hook | None:
        """See ``HookReads.hook``."""
        for row in self._rows(HOOK_QUERIES["webhook"], (hook_id, tenant)):
            return hook_of(row)
        return None

    async def hooks(self, tenant: str | None) -> list[Hook]:
        """See ``HookReads.hooks``."""
        if tenant is None:
            rows = self._rows(HOOK_QUERIES["webhooks"])
        else:
            rows = self._rows(HOOK_QUERIES["tenants_webhooks"], (tenant,))
        return [hook_of(row) for row in rows]

    async def deliveries(self, task_id: str, tenant: str | None, limit: int) -> list[Delivery]:
        """See ``HookReads.deliveries``."""
        rows = self._rows(HOOK_QUERIES["deliveries"], (task_id, tenant, limit))
        return [delivery_of(row) for row in rows]

    async def due_hosts(self, after: str, limit: int) -> list[tuple[str, int]]:
        """See ``HookReads.due_hosts``."""
        values: dict[str, str | int] = {"after": after, "limit": limit}
        return [(host, due_ms) for host, due_ms in self._rows(HOOK_QUERIES["due_hosts"], values)]

    async def left_claims(self) -> bool:
        """See ``HookReads.left_claims``."""
        return bool(self._rows(HOOK_QUERIES["left_claims"], (self.epoch.tag,)))

    async def first_ended_ms(self) -> int:
        """See ``HookReads.first_ended_ms``."""
        ((ended_ms,),) = self._rows(HOOK_QUERIES["first_ended"])
        return ended_ms or 0

    async def waiting_deliveries(self, hook_id: str, limit: int) -> int:
        """See ``HookReads.waiting_deliveries``."""
        ((count,),) = self._rows(HOOK_QUERIES["waiting_deliveries"], (hook_id, limit))
        return int(count)
