"""Carries attempts to HTTP servers: ``POST {url}/process``, as the guide has it."""

import asyncio
from collections.abc import Callable

import structlog

from inferry.server.carriers.http.call import ServerCalls
from inferry.server.carriers.http.cancel import Stopper
from inferry.server.clock import Clock
from inferry.server.engine.tasks import Engine
from inferry.server.errors import InferryError, UnavailableError
from inferry.server.fleet.breaker import CallEnd
from inferry.server.fleet.fleet import Fleet
from inferry.server.fleet.lease import AttemptKey
from inferry.server.fleet.record import ServerRecord
from inferry.server.replica.tenure import Tenure
from inferry.server.task.failure import Failure
from inferry.server.task.inputs import Accept, Input
from inferry.server.task.record import Attempt, AttemptOutcome, TaskRecord

#: What comes of a call that the gateway itself stumbled over.
_BROKEN = Failure(
    AttemptOutcome.AMBIGUOUS, "the gateway failed at the call or its answer: see its log"
)
#: A synchronous call that lasts so long has begun to work: what ends sooner costs no commit more.
SOON_S = 0.5
#: Between two tries to write down the outcome of a call.
_AGAIN_S = 1.0

_log = structlog.get_logger(__name__)


class Dispatcher:
    """Calls servers; as many calls at once as there are slots.

    Args:
        engine: Takes what comes of the calls.
        fleet: The servers, and what their calls tell of them.
        server_calls: Makes the calls.
        clock: The time.
        stopper: Stops what is no longer wanted.
        tenure: Whether this replica may call servers.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        fleet: Fleet,
        server_calls: ServerCalls,
        clock: Clock,
        stopper: Stopper,
        tenure: Tenure,
    ) -> None:
        self._engine = engine
        self._fleet = fleet
        self._server_calls = server_calls
        self._clock = clock
        self._stopper = stopper
        self._tenure = tenure
        self._calls: dict[AttemptKey, tuple[TaskRecord, asyncio.Task[None]]] = {}
        #: Those that are being written down as taken.
        self._taking: set[asyncio.Task[None]] = set()
        #: Those whose answer is being written, too.
        self._running: dict[AttemptKey, asyncio.Task[None]] = {}

    def carry(self, record: TaskRecord, payload: bytes) -> None:
        """Calls the server of a task's open attempt, in the background."""
        key = record.spec.id, record.attempt
        call = asyncio.create_task(self._call(record, payload), name=record.spec.id)
        self._calls[key] = record, call
        self._running[key] = call
        call.add_done_callback(lambda _: self._running.pop(key))

    def drop(self, record: TaskRecord, closed: Attempt) -> None:
        """Hangs up unless the server itself ended the attempt; then the call may end, too."""
        if closed.outcome not in (AttemptOutcome.SUCCEEDED, AttemptOutcome.REJECTED):
            _, call = self._calls.pop((record.spec.id, closed.number), (record, None))
            if call is not None:
                call.cancel()
                if closed.outcome is AttemptOutcome.TIMED_OUT:
                    self._note(record, self._server_calls.unanswered(record))

    def stop(self, task_id: str, closed: Attempt, stopped: Callable[[], None]) -> None:
        """Has the server told that it should stop."""
        self._stopper.stop(task_id, closed, stopped)

    def confirm(self, task_id: str, attempt: int) -> None:
        """The server of a stopped attempt knows that it should stop."""
        self._stopper.confirm(task_id, attempt)

    def hears(self, server_id: str, attempt: AttemptKey) -> bool:  # noqa: ARG002  # the contract has it
        """Whether an attempt's call has not ended, or its server is being told to stop."""
        return attempt in self._running or self._stopper.stops(attempt)

    def adopt(self, record: TaskRecord) -> None:
        """Has nothing to do: who called waits for the answer, and reports go to all gateways."""

    def carries(self, task_id: str, attempt: int) -> bool:
        """Whether the call of an attempt is under way."""
        return (task_id, attempt) in self._calls

    async def close(self, grace_s: float) -> list[TaskRecord]:
        """Lets the calls under way end, and hangs up when the time of grace is over.

        Returns:
            The tasks, as they were given away, whose calls were hung up on.
        """
        if self._running:
            await asyncio.wait(self._running.values(), timeout=grace_s)
        cut = [record for record, _ in self._calls.values()]
        left = list(self._running.values())
        for call in left:
            call.cancel()
        await asyncio.gather(*left, *self._taking, return_exceptions=True)
        await self._stopper.close()
        return cut

    async def _call(self, record: TaskRecord, payload: bytes) -> None:
        task_id = record.spec.id
        try:
            answer = await self._answer(record, payload)
        except Exception:  # noqa: BLE001  # whatever it was, the attempt must end
            _log.exception("a call broke", task_id=task_id, attempt=record.attempt)
            answer = _BROKEN
        finally:
            self._calls.pop((task_id, record.attempt), None)
        if isinstance(answer, Failure):
            _log.info(
                "attempt failed",
                task_id=task_id,
                attempt=record.attempt,
                server_id=record.server_id,
                outcome=answer.outcome.name,
                error=answer.error,
            )
        await self._write_down(record, answer)

    async def _answer(self, record: TaskRecord, payload: bytes) -> Input | Failure | None:
        member = self._fleet.get(record.server_id or "")
        if member is None:
            return Failure(AttemptOutcome.REFUSED, "the server was deregistered")
        if not self._tenure.holds:
            # It stood still, or lost sight of the store: another replica may call by now.
            return Failure(AttemptOutcome.REFUSED, "the replica's lease was over before the call")
        end, answer = await self._ask(member.record, record, payload)
        self._note(record, end, answer.retry_after_ms if isinstance(answer, Failure) else None)
        return answer

    async def _ask(
        self, server: ServerRecord, record: TaskRecord, payload: bytes
    ) -> tuple[CallEnd | None, Input | Failure | None]:
        """Asks a server; a task that it says nothing of but its answer soon counts as taken."""
        if record.spec.asynchronous:
            return await self._server_calls.ask(server, record, payload)
        timer: asyncio.TimerHandle | None = None

        def connected() -> None:
            nonlocal timer
            loop = asyncio.get_running_loop()
            timer = loop.call_later(SOON_S, self._take, record)

        try:
            return await self._server_calls.ask(server, record, payload, connected)
        finally:
            if timer is not None:
                timer.cancel()

    def _take(self, record: TaskRecord) -> None:
        taking = asyncio.create_task(self._accept(record), name=f"{record.spec.id} taken")
        self._taking.add(taking)
        taking.add_done_callback(self._taking.discard)

    async def _accept(self, record: TaskRecord) -> None:
        try:
            await self._engine.answer(record.spec.id, record.attempt, Accept())
        except InferryError as error:
            # It reads PENDING then, and nothing else comes of it.
            _log.info("an acceptance was not kept", task_id=record.spec.id, error=error.message)

    async def _write_down(self, record: TaskRecord, answer: Input | Failure | None) -> None:
        """Has the outcome of a call written down, as soon as the store can write."""
        task_id = record.spec.id
        while True:
            try:
                if answer is not None:
                    await self._engine.answer(task_id, record.attempt, answer)
                else:
                    # Nothing came in time. Whether that ends the attempt is for its timeouts to
                    # say: reports may have extended it.
                    await self._engine.expire(task_id)
            except UnavailableError:
                # The server did its work: a disk that is full for a while must not undo that.
                await asyncio.sleep(_AGAIN_S)
            except Exception:  # noqa: BLE001  # an outcome that cannot be written is one all the same
                _log.exception("an outcome broke", task_id=task_id, attempt=record.attempt)
                if answer is _BROKEN:
                    # Its timeout ends it.
                    return
                answer = _BROKEN
            else:
                return

    def _note(self, record: TaskRecord, end: CallEnd | None, wait_ms: int | None = None) -> None:
        if end is not None:
            server_id, now = record.server_id or "", self._clock.now_ms()
            self._fleet.note_call(server_id, record.spec.id, record.attempt, now, end, wait_ms)
