"""The use cases of webhooks: what their owners, and those who look after deliveries, can do."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from inferry.server.clock import Clock
from inferry.server.engine.committer import Committer, nothing_follows
from inferry.server.engine.reader import Reader
from inferry.server.errors import HookNotFoundError, NotFoundError, UnavailableError
from inferry.server.store import Store
from inferry.server.store.webhooks import ChangeHook, DropHook, PutHook, Replay, SendAgain
from inferry.server.task.hook import Delivery, DeliveryState, Hook, HookSecret
from inferry.server.task.ids import new_ulid
from inferry.server.webhooks.attempts import Try
from inferry.server.webhooks.delivering import Postman, live
from inferry.wire.scalars import print_ms

#: Why a webhook hears of nothing whose owner wants that.
BY_OWNER = "its owner disabled it"
#: Deliveries of a task that are listed, and of a webhook that are replayed, in one call.
LISTED, REPLAYED = 1_000, 1_000
#: Pings under way at once.
_PINGS = 16


@dataclass(frozen=True, slots=True)
class Replayed:
    """What is sent again."""

    count: int
    #: Whether there may be more.
    more: bool


class Hooks:
    """All that can be done with webhooks, and with what they are told.

    Args:
        store: Has them.
        committer: Changes them.
        reader: Knows the tasks.
        postman: Sends pings.
        clock: The time.
        per_tenant: Webhooks of a tenant, at most.
    """

    def __init__(
        self,
        *,
        store: Store,
        committer: Committer,
        reader: Reader,
        postman: Postman,
        clock: Clock,
        per_tenant: int,
    ) -> None:
        self._store = store
        self._committer = committer
        self._reader = reader
        self._postman = postman
        self._clock = clock
        self._per_tenant = per_tenant
        self._pings = asyncio.Semaphore(_PINGS)

    async def create(self, hook: Hook) -> Hook:
        """Adds a webhook.

        Raises:
            LimitError: Its tenant has as many as it may have.
        """
        added: Hook = await self._committer.do(PutHook(hook, self._per_tenant), nothing_follows)
        return added

    async def get(self, hook_id: str, tenant: str | None) -> Hook:
        """Reads a webhook.

        Raises:
            HookNotFoundError: There is none, or it is another tenant's.
        """
        hook = await self._store.hook(hook_id, tenant)
        if hook is None:
            raise HookNotFoundError(hook_id)
        return hook

    async def all(self, tenant: str | None) -> list[Hook]:
        """Reads the webhooks of a tenant, or of all, in the order of their creation."""
        return sorted(await self._store.hooks(tenant), key=lambda hook: hook.id)

    async def change(
        self, hook_id: str, tenant: str | None, decide: Callable[[Hook], Hook]
    ) -> Hook:
        """Changes a webhook as ``decide``, which is pure, says.

        Raises:
            HookNotFoundError: There is none, or it is another tenant's.
        """
        now_ms = self._clock.now_ms()

        def renew(before: Hook) -> Hook:
            return decide(before)._replace(updated_ms=now_ms)

        operation = ChangeHook(hook_id, tenant, renew, now_ms)
        changed: Hook = await self._committer.do(operation, nothing_follows)
        return changed

    async def rotate(self, hook_id: str, tenant: str | None, secret: str, overlap_ms: int) -> Hook:
        """Gives a webhook a new secret; the one that it has holds for a while more.

        Raises:
            HookNotFoundError: There is none, or it is another tenant's.
        """
        until_ms = self._clock.now_ms() + overlap_ms

        def rotated(hook: Hook) -> Hook:
            old = tuple(HookSecret(one.text, until_ms) for one in hook.secrets[:1] if overlap_ms)
            return hook._replace(secrets=(HookSecret(secret, 0), *old))

        return await self.change(hook_id, tenant, rotated)

    async def drop(self, hook_id: str, tenant: str | None) -> None:
        """Removes a webhook; no error if there is none."""
        await self._committer.do(DropHook(hook_id, tenant, self._clock.now_ms()), nothing_follows)

    async def ping(self, hook_id: str, tenant: str | None) -> Try:
        """Sends a webhook a message that says nothing, once, and tells what it answered.

        Raises:
            HookNotFoundError: There is none, or it is another tenant's.
            UnavailableError: Too many are on their way.
        """
        hook = await self.get(hook_id, tenant)
        if self._pings.locked():
            raise UnavailableError("too many pings are on their way; try again", retry_after_s=1)
        async with self._pings:
            now_ms = self._clock.now_ms()
            body = orjson.dumps(
                {
                    "type": "webhook.ping",
                    "timestamp": print_ms(now_ms),
                    "data": {"webhookId": hook.id},
                }
            )
            signer = hook.tenant if hook.ed25519 else None
            secrets = live(hook.secrets, now_ms)
            one, _ = await self._postman.post(hook.url, f"ping_{new_ulid()}", body, secrets, signer)
            return one

    async def deliveries(self, task_id: str, tenant: str | None) -> list[Delivery]:
        """Reads what was, or is to be, told of a task; some of it may outlive the task.

        Raises:
            NotFoundError: There is neither the one nor the other.
        """
        found = await self._store.deliveries(task_id, tenant, LISTED)
        if not found:
            await self._reader.task(task_id, tenant)
        return found

    async def redeliver(
        self, task_id: str, seq: int, hook_id: str | None, tenant: str | None
    ) -> int:
        """Sends what was told of an event again, or given up; tells to how many webhooks.

        Raises:
            NotFoundError: There is nothing of the kind.
        """
        operation = SendAgain(task_id, seq, hook_id, tenant, self._clock.now_ms())
        count: int = await self._committer.do(operation, nothing_follows)
        if not count:
            raise NotFoundError(
                f"nothing of event {seq} of task {task_id} was told to a webhook that still hears, "
                "or it waits to be"
            )
        return count

    async def replay(
        self, hook_id: str, tenant: str | None, since_ms: int, state: DeliveryState
    ) -> Replayed:
        """Sends a webhook again what it was to be told since a time.

        Raises:
            HookNotFoundError: There is none, or it is another tenant's.
        """
        now_ms = self._clock.now_ms()
        operation = Replay(hook_id, tenant, since_ms, now_ms, REPLAYED, state)
        count: int = await self._committer.do(operation, nothing_follows)
        return Replayed(count, count == REPLAYED)
