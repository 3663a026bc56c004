"""Who hears of an event: looked up in memory, within the event's own transaction."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import orjson

from inferry.server.task.hook import DeliveryKey, Hook, HookEvent, Notice
from inferry.server.task.record import TaskRecord, TaskSpec
from inferry.server.task.steps import Transition
from inferry.server.webhooks.message import body_of, event_of

#: Progress is told so long after it was made, with all that comes until then.
GATHER_MS = 1_000


class Addressing:
    """``Addressees`` by the webhooks of each tenant.

    Args:
        public_url: Where the gateway is reached.
        bell: Is set when there is something to send.
        waiting_limit: With so many deliveries that wait, a webhook hears of ends alone.
    """

    def __init__(self, public_url: str, bell: asyncio.Event, waiting_limit: int) -> None:
        self._public_url = public_url
        self._bell = bell
        self._waiting_limit = waiting_limit
        self._of_tenant: dict[str, list[Hook]] = {}
        #: How many webhooks hear of nothing any more.
        self.disabled = 0
        #: What waits for each webhook: as last counted, and what came since then.
        self._waiting: Counter[str] = Counter()

    def know(self, hooks: Sequence[Hook]) -> None:
        """See ``Addressees.know``."""
        of_tenant: dict[str, list[Hook]] = {}
        for hook in hooks:
            if not hook.disabled:
                of_tenant.setdefault(hook.tenant, []).append(hook)
        self._of_tenant = of_tenant
        hearing = {hook.id for hook in hooks if not hook.disabled}
        self.disabled = len(hooks) - len(hearing)
        self._waiting = Counter({name: n for name, n in self._waiting.items() if name in hearing})

    def notices(self, before: TaskRecord, transition: Transition) -> Sequence[Notice]:
        """See ``Addressees.notices``."""
        spec = transition.record.spec
        if not spec.webhook_events and spec.tenant not in self._of_tenant:
            return ()
        event = event_of(before, transition)
        if event is None:
            return ()
        hook_ids = [
            hook.id
            for hook in self._of_tenant.get(spec.tenant, ())
            if fits(hook, spec, event) and self._has_room(hook.id, event)
        ]
        if spec.webhook_events & event:
            hook_ids.append(spec.id)
        if not hook_ids:
            return ()
        return self._told(event, transition, hook_ids)

    def wake(self) -> None:
        """See ``Addressees.wake``."""
        self._bell.set()

    def crowded(self) -> list[str]:
        """Lists webhooks for which so much may wait that it should be counted."""
        return [name for name, n in self._waiting.items() if n >= self._waiting_limit]

    def count(self, hook_id: str, waiting: int) -> None:
        """Takes how much waits for a webhook."""
        self._waiting[hook_id] = waiting

    def _has_room(self, hook_id: str, event: HookEvent) -> bool:
        room = self._waiting[hook_id] < self._waiting_limit
        return room or event is HookEvent.COMPLETED

    def _told(
        self, event: HookEvent, transition: Transition, hook_ids: Sequence[str]
    ) -> list[Notice]:
        record = transition.record
        task_id, now_ms = record.spec.id, record.updated_ms
        body = body_of(event, transition, f"{self._public_url}/api/tasks/{task_id}")
        due_ms = now_ms + (GATHER_MS if event is HookEvent.PROGRESS else 0)
        self._waiting.update(hook_id for hook_id in hook_ids if hook_id != task_id)
        return [
            Notice(
                DeliveryKey(task_id, hook_id, record.seq),
                record.spec.tenant,
                event,
                body,
                now_ms,
                due_ms,
            )
            for hook_id in hook_ids
        ]


def fits(hook: Hook, spec: TaskSpec, event: HookEvent) -> bool:
    """Whether a webhook hears of a task, and of such an event."""
    if not hook.events & event:
        return False
    if hook.types and spec.type not in hook.types:
        return False
    if not hook.labels:
        return True
    labels = orjson.loads(spec.labels)
    return all(labels.get(key) == value for key, value in hook.labels)
