"""What the PostgreSQL store reads of webhooks: see ``HookReads`` for what each call does."""

from collections.abc import Sequence

from inferry.server.store.hook_rows import delivery_of, hook_of
from inferry.server.store.postgres.queries import HOOK_QUERIES
from inferry.server.store.postgres.queue_reads import PostgresQueueReads
from inferry.server.store.webhooks import Addressees, Nobody
from inferry.server.task.hook import Delivery, Hook, Notice
from inferry.server.task.record import TaskRecord
from inferry.server.task.steps import Transition


class PostgresHookReads(PostgresQueueReads):
    """Finds webhooks, and what they are told."""

    def __init__(self) -> None:
        self.addressees: Addressees = Nobody()

    def _notices(self, before: TaskRecord, transition: Transition) -> Sequence[Notice]:
        """Asks whoever is to be asked by now."""
        return self.addressees.notices(before, transition)

    async def hook(self, hook_id: str, tenant: str | None) -> Hook | None:
        """See ``HookReads.hook``."""
        for row in await self._rows(HOOK_QUERIES["webhook"], hook_id, tenant):
            return hook_of(row)
        return None

    async def hooks(self, tenant: str | None) -> list[Hook]:
        """See ``HookReads.hooks``."""
        if tenant is None:
            rows = await self._rows(HOOK_QUERIES["webhooks"])
        else:
            rows = await self._rows(HOOK_QUERIES["tenants_webhooks"], tenant)
        return [hook_of(row) for row in rows]

    async def deliveries(self, task_id: str, tenant: str | None, limit: int) -> list[Delivery]:
        """See ``HookReads.deliveries``."""
        rows = await self._rows(HOOK_QUERIES["deliveries"], task_id, tenant, limit)
        return [delivery_of(row) for row in rows]

    async def due_hosts(self, after: str, limit: int) -> list[tuple[str, int]]:
        """See ``HookReads.due_hosts``."""
        rows = await self._rows(HOOK_QUERIES["due_hosts"], after, limit)
        return [(host, due_ms) for host, due_ms in rows]

    async def left_claims(self) -> bool:
        """See ``HookReads.left_claims``."""
        return bool(await self._rows(HOOK_QUERIES["left_claims"]))

    async def first_ended_ms(self) -> int:
        """See ``HookReads.first_ended_ms``."""
        ((ended_ms,),) = await self._rows(HOOK_QUERIES["first_ended"])
        return ended_ms or 0

    async def waiting_deliveries(self, hook_id: str, limit: int) -> int:
        """See ``HookReads.waiting_deliveries``."""
        ((count,),) = await self._rows(HOOK_QUERIES["waiting_deliveries"], hook_id, limit)
        return int(count)
