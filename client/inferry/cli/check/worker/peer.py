"""The worker that is checked, as a gateway speaks with it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import grpc

from inferry.backend.attempt import AttemptKey
from inferry.backend.testing.gateway import Sent
from inferry.backend.testing.grpc import GrpcGateway
from inferry.backend.testing.outcome import Outcome
from inferry.backend.testing.streams import Connection, Cut
from inferry.cli.check.finding import BrokenContractError
from inferry.cli.check.work import SkippedError
from inferry.cli.check.worker.limits import Limits
from inferry.cli.check.worker.program import Program
from inferry.v1.worker_pb2 import (
    GatewayHeartbeat,
    GatewayMessage,
)
from inferry.wire.held import held_hash

Found = TypeVar("Found")


class Peer:
    """Speaks with a worker.

    Args:
        gateway: The worker's.
        token: What the worker has to show.
        task_type: Of the tasks that it gets.
        limits: How long it is waited for.
        program: Runs it; None if somebody else does.
    """

    def __init__(
        self,
        gateway: GrpcGateway,
        token: str,
        task_type: str,
        limits: Limits,
        program: Program | None = None,
    ) -> None:
        self.gateway = gateway
        self.token = token
        self.limits = limits
        self.program = program
        #: Whether the gateway says nothing of itself for now.
        self.silent = False
        #: Whether no stream came when one was due.
        self.lost = False
        self._type = task_type
        self._given: list[Sent] = []

    async def stream(self, after: Connection | None = None) -> Connection:
        """Gives the stream of now, waiting for one if need be.

        Args:
            after: One that has ended, or is about to.

        Raises:
            BrokenContractError: There is none.
        """

        def live() -> Connection | None:
            found = self.gateway.connection
            if found is None or found is after or found.ended.is_set():
                return None
            return found

        within_s = self.limits.interval_s if self.lost else self.limits.back_s
        try:
            found = await self.gateway.until(live, within_s)
        except TimeoutError:
            self.lost = True
            raise BrokenContractError(self._absence(within_s), _ANOTHER_STREAM) from None
        self.lost = False
        return found

    async def cut(self, code: grpc.StatusCode) -> Connection:
        """Ends the stream of now; gives the next one.

        Raises:
            BrokenContractError: None comes.
        """
        connection = await self.stream()
        connection.outgoing.put(Cut(code, "cut by inferry check"))
        return await self.stream(connection)

    async def give(self, payload: bytes, timeout_s: float) -> Sent:
        """Assigns work when the worker has credit.

        Raises:
            BrokenContractError: It gives none.
        """
        return await self.give_late(payload, timeout_s, timeout_s)

    async def give_late(self, payload: bytes, timeout_s: float, within_s: float) -> Sent:
        """Assigns work that may run for another time than the worker has to give credit.

        Raises:
            BrokenContractError: It gives none.
        """
        connection = await self.stream()
        await self.expect(
            lambda: connection.granted > connection.assigned or None,
            within_s,
            f"it gives no credit within {within_s:g} s",
            "granted_total is what came on this stream plus what can be taken now: state it after "
            "the welcome, and again whenever a slot is free",
        )
        sent = self.gateway.expect(self._type, payload, timeout_s)
        connection.assigned += 1
        self._given.append(sent)
        self.gateway.assign(sent)
        return sent

    async def end(self, sent: Sent, within_s: float) -> Outcome:
        """Waits for the end of an attempt.

        Raises:
            BrokenContractError: It does not come.
        """
        try:
            return await sent.end(within_s)
        except TimeoutError:
            raise BrokenContractError(
                f"no final report came within {within_s:g} s",
                "report the end of each attempt: COMPLETED with a result in JSON, or FAILED",
            ) from None

    async def done(self, payload: bytes, within_s: float) -> Outcome:
        """Has work done to its good end.

        Raises:
            BrokenContractError: It does not end well.
        """
        outcome = await self.end(await self.give(payload, within_s), within_s)
        if outcome.status != "COMPLETED":
            raise BrokenContractError(
                f"the task ended as {outcome.status}: {outcome.error or 'without an error'}",
                "give --payload and --type what the worker can do",
            )
        return outcome

    async def expect(
        self, look: Callable[[], Found | None], within_s: float, seen: str, remedy: str
    ) -> Found:
        """Waits until there is what is looked for.

        Raises:
            BrokenContractError: It does not come; with these texts.
        """
        try:
            return await self.gateway.until(look, within_s)
        except TimeoutError:
            raise BrokenContractError(seen, remedy) from None

    def same(self, connection: Connection, what: str) -> None:
        """Looks whether a stream is still the one of now.

        Raises:
            BrokenContractError: The worker opened another one, or ended it.
        """
        if self.gateway.connection is not connection or connection.ended.is_set():
            raise BrokenContractError(f"the stream ended: {what}", "go on as if nothing had been")

    def started(self) -> Program:
        """Gives what runs the worker.

        Raises:
            SkippedError: Somebody else does.
        """
        if self.program is None:
            raise SkippedError("have it run here: inferry check worker -- COMMAND")
        return self.program

    async def settle(self) -> None:
        """Brings back what a check changed, and ends the work that it left."""
        gateway = self.gateway
        self.silent, was_deaf, gateway.deaf = False, gateway.deaf, False
        gateway.resumes = True
        gateway.again.clear()
        connection = gateway.connection
        if connection is not None:
            connection.reading.set()
            if not connection.ended.is_set():
                if was_deaf:
                    gateway.hear_what_was_said()
                await self._stop_all()
        self._given.clear()

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Says meanwhile that the gateway is alive."""
        beat = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)

    def _held(self) -> set[AttemptKey]:
        return {
            sent.key
            for sent in self._given
            if not sent.ended.is_set() and not sent.stopped.is_set()
        }

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.limits.interval_s)
            if self.gateway.connection is not None and not self.silent:
                held = self._held()
                said = GatewayHeartbeat(held_count=len(held), held_hash=held_hash(held))
                self.gateway.say(GatewayMessage(heartbeat=said))

    async def _stop_all(self) -> None:
        left = [sent for sent in self._given if sent.key in self._held()]
        for sent in left:
            await self.gateway.cancel(sent)
        with contextlib.suppress(TimeoutError):
            await self.gateway.until(lambda: not self._held() or None, self.limits.stopped_s)

    def _absence(self, within_s: float) -> str:
        if self.program is not None and self.program.status is not None:
            return f"there is no stream: the worker has ended with status {self.program.status}"
        return f"no stream was opened within {within_s:g} s"


_ANOTHER_STREAM = (
    "open another stream after each end of one, whatever its code, after 0.5 s to 30 s"
)
