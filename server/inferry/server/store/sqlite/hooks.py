"""What is written of webhooks, as statements on the one connection that writes."""

from collections.abc import Iterable, Sequence

import apsw

from inferry.server.errors import HookNotFoundError, LimitError
from inferry.server.store.hook_rows import claim_of, hook_of, hook_row
from inferry.server.store.operations import Result
from inferry.server.store.outbox import LineKey, Lines, entry_row, lines_of, new_row
from inferry.server.store.rows import Row
from inferry.server.store.sqlite.queries import HOOK_QUERIES
from inferry.server.store.webhooks import (
    ChangeHook,
    ClaimDeliveries,
    DropHook,
    ForgetDeliveries,
    HookOperation,
    PutHook,
    Replay,
    SendAgain,
    SettleDelivery,
)
from inferry.server.task.hook import Claim, DeliveryKey, DeliveryState, Hook, Notice

_KEY = len(DeliveryKey._fields)


class HookWrites:
    """Does operations on webhooks and deliveries.

    Args:
        cursor: The one that writes.
        start: Tag of this start.
    """

    def __init__(self, cursor: apsw.Cursor, start: int) -> None:
        self._cursor = cursor
        self._start = start
        #: Whether webhooks were changed, and anything was written that is to be sent, since that
        #: was passed on.
        self.changed = self.told = False

    def do(self, operation: HookOperation) -> Result:  # noqa: PLR0911  # a return for each kind
        """Does one operation.

        Raises:
            InferryError: It is refused, and nothing is written.
        """
        match operation:
            case PutHook():
                return self._put(operation)
            case ChangeHook():
                return self._change(operation)
            case DropHook():
                self._drop(operation)
                return None
            case ClaimDeliveries():
                return self._claim(operation)
            case SettleDelivery():
                return self._settle(operation)
            case SendAgain():
                return self._send_again(operation)
            case Replay():
                return self._replay(operation)
            case ForgetDeliveries():
                return self._forget(operation)

    def add(self, hook: Hook) -> None:
        """Adds a webhook, which belongs to a task if it has the task's id."""
        self._cursor.execute(HOOK_QUERIES["put_webhook"], hook_row(hook))

    def tell(self, notices: Sequence[Notice]) -> None:
        """Writes down what is to be told."""
        lines = self._lines(notice.key[:2] for notice in notices)
        lines.tell(notices)
        self._write(lines)
        self.told = True

    def _lines(self, keys: Iterable[LineKey]) -> Lines:
        wanted = dict.fromkeys(keys)
        rows = [row for key in wanted for row in self._rows("waiting_line", *key)]
        hears = {
            hook_id: bool(answer)
            for hook_id in {hook_id for _, hook_id in wanted}
            for (answer,) in self._rows("hears", hook_id)
        }
        return lines_of(wanted, rows, hears)

    def _write(self, lines: Lines) -> None:
        # Those that go first: another may have their place.
        for key in lines.dropped():
            self._rows("drop_delivery", *key)
        for entry in lines.changed():
            row = entry_row(entry)
            self._rows("change_delivery", *row[_KEY:], *row[:_KEY])
        for entry in lines.new():
            self._rows("put_delivery", *new_row(entry), entry.key.hook_id)

    def _rows(self, name: str, *values: object) -> list[Row]:
        return self._cursor.execute(HOOK_QUERIES[name], values).fetchall()

    def _put(self, operation: PutHook) -> Hook:
        ((count,),) = self._rows("count_webhooks", operation.hook.tenant)
        if count >= operation.limit:
            raise LimitError(f"there are {count} webhooks; the limit is {operation.limit}")
        self.add(operation.hook)
        self.changed = True
        return operation.hook

    def _change(self, operation: ChangeHook) -> Hook:
        before = self._find(operation.hook_id, operation.tenant)
        after = operation.decide(before)
        if after == before:
            return before
        self.add(after)
        self.changed = True
        if after.host != before.host:
            self._rows("move_deliveries", after.host, after.id)
        if after.disabled:
            self._rows("give_up_deliveries", operation.now_ms, after.id)
        return after

    def _find(self, hook_id: str, tenant: str | None) -> Hook:
        for row in self._rows("webhook", hook_id, tenant):
            return hook_of(row)
        raise HookNotFoundError(hook_id)

    def _drop(self, operation: DropHook) -> None:
        if self._rows("webhook", operation.hook_id, operation.tenant):
            self._rows("drop_webhook", operation.hook_id)
            self._rows("give_up_deliveries", operation.now_ms, operation.hook_id)
            self.changed = True

    def _claim(self, operation: ClaimDeliveries) -> tuple[Claim, ...]:
        self._rows("release_claims", self._start)
        claims: list[Claim] = []
        for host, limit in operation.rooms.items():
            values = {
                "start": self._start,
                "host": host,
                "now_ms": operation.now_ms,
                "limit": limit,
            }
            query = HOOK_QUERIES["claim_deliveries"]
            for row in self._cursor.execute(query, values).fetchall():
                ways = self._rows("claimed_webhook", row[1])
                claims += [claim_of((*row, *way)) for way in ways]
                if not ways:
                    # It hears of nothing any more, or was removed.
                    self._rows("give_up_delivery", operation.now_ms, *row[:_KEY])
        return tuple(claims)

    def _settle(self, operation: SettleDelivery) -> DeliveryState | None:
        if operation.disable:
            self._disable(operation.key.hook_id, operation.disable, operation.now_ms)
        lines = self._lines([operation.key[:2]])
        state = lines.settle(operation, self._start)
        self._write(lines)
        self.told = True
        return state

    def _disable(self, hook_id: str, why: str, now_ms: int) -> None:
        self._rows("disable_webhook", why, now_ms, hook_id)
        self._rows("give_up_deliveries", now_ms, hook_id)
        self.changed = True

    def _send_again(self, operation: SendAgain) -> int:
        values = {
            "task_id": operation.task_id,
            "seq": operation.seq,
            "webhook_id": operation.hook_id,
            "tenant": operation.tenant,
        }
        chosen = self._cursor.execute(HOOK_QUERIES["send_again"], values).fetchall()
        self._wake(chosen, operation.now_ms)
        return len(chosen)

    def _replay(self, operation: Replay) -> int:
        self._find(operation.hook_id, operation.tenant)
        values = {
            "webhook_id": operation.hook_id,
            "state": int(operation.state),
            "since_ms": operation.since_ms,
            "limit": operation.limit,
        }
        chosen = self._cursor.execute(HOOK_QUERIES["replay"], values).fetchall()
        self._wake(chosen, operation.now_ms)
        return len(chosen)

    def _forget(self, operation: ForgetDeliveries) -> int:
        dropped = self._rows("forget_deliveries", operation.ended_ms, operation.limit)
        for hook_id in {hook_id for (hook_id,) in dropped}:
            self._cursor.execute(HOOK_QUERIES["forget_webhook"], {"id": hook_id})
        return len(dropped)

    def _wake(self, pairs: Sequence[Row], now_ms: int) -> None:
        for task_id, hook_id in dict.fromkeys(pairs):
            names = {"task_id": task_id, "webhook_id": hook_id, "now_ms": now_ms}
            self._cursor.execute(HOOK_QUERIES["wake_next"], names)
        self.told = self.told or bool(pairs)
