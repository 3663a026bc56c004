"""A worker that keeps its contract, but for one fault."""

import asyncio
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from typing import Any

import grpc.aio
import orjson

from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.worker_pb2 import (
    Assignment,
    AttemptRef,
    GatewayMessage,
    WorkerHello,
    WorkerMessage,
    WorkerReport,
    WorkerWelcome,
)
from inferry.v1.worker_service_pb2_grpc import WorkerServiceStub
from inferry.wire.held import held_hash

#: Payloads.
QUICK, LONG, BAD = b"{}", b'{"steps":6}', b'{"bad":true}'
SLOTS = 4
STEP_S = 0.15

Key = tuple[str, int]


class ScriptedWorker:
    """Works as docs/workers.md says, but for its faults: a word each."""

    def __init__(self, address: str, token: str, faults: AbstractSet[str]) -> None:
        self._address = address
        self._metadata = () if "no token" in faults else (("authorization", f"Bearer {token}"),)
        self._faults = faults
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._seen: set[Key] = set()
        #: Final reports that nobody acknowledged.
        self._outbox: dict[int, WorkerReport] = {}
        self._number = 0
        self._resume_token = ""
        self._outgoing: asyncio.Queue[WorkerMessage | None] = asyncio.Queue()
        self._received = 0
        self._welcome = WorkerWelcome()

    async def run(self) -> None:
        """Opens one stream after the other."""
        async with grpc.aio.insecure_channel(self._address) as channel:
            stub = WorkerServiceStub(channel)
            try:
                while True:
                    pause_s = await self._live(stub)
                    await asyncio.sleep(pause_s)
            finally:
                for work in self._running.values():
                    work.cancel()
                await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _has(self, fault: str) -> bool:
        return fault in self._faults

    async def _live(self, stub: Any) -> float:
        """Lives on one stream; gives how long to wait for the next."""
        self._outgoing, self._received = asyncio.Queue(), 0
        self._outgoing.put_nowait(WorkerMessage(hello=self._hello()))
        call = stub.Connect(self._messages(self._outgoing), metadata=self._metadata)
        beating = None
        try:
            while True:
                patience_s = 3 * (self._welcome.heartbeat_interval_ms or 10_000) / 1_000
                async with asyncio.timeout(None if self._has("patient") else patience_s):
                    message = await call.read()
                if message is grpc.aio.EOF:
                    return await self._after(call)
                if message.HasField("welcome"):
                    self._begin(message.welcome)
                    beating = asyncio.create_task(self._beat())
                self._hear(message)
                if message.HasField("reconnect") and not self._has("stays"):
                    soon = 0.0 if self._has("hasty") else message.reconnect.after_ms / 1_000
                    return soon + 0.02
        except (TimeoutError, grpc.aio.AioRpcError):
            return await self._after(call)
        finally:
            self._outgoing.put_nowait(None)
            call.cancel()
            if beating is not None:
                beating.cancel()

    async def _after(self, call: Any) -> float:
        if self._has("ends with OK") and call.done() and await call.code() is grpc.StatusCode.OK:
            await asyncio.Event().wait()
        return 0.02

    async def _messages(
        self, outgoing: "asyncio.Queue[WorkerMessage | None]"
    ) -> AsyncIterator[WorkerMessage]:
        while (message := await outgoing.get()) is not None:
            yield message

    def _say(self, **parts: Any) -> None:
        self._outgoing.put_nowait(WorkerMessage(**parts))

    def _hello(self) -> WorkerHello:
        hello = WorkerHello(
            name="" if self._has("no name") else "scripted",
            protocol_version=1,
            capabilities=[] if self._has("every type") else ["t"],
            max_concurrent=SLOTS,
            resume_token="" if self._has("forgets") else self._resume_token,
            ready=True,
        )
        if self._resume_token and not self._has("no held"):
            hello.held.extend(AttemptRef(task_id=task, attempt=no) for task, no in self._held())
        return hello

    def _held(self) -> set[Key]:
        ended = {(one.attempt.task_id, one.attempt.attempt) for one in self._outbox.values()}
        return set(self._running) | ended

    def _begin(self, welcome: WorkerWelcome) -> None:
        resumed = bool(self._resume_token) and not welcome.resumed
        if resumed and not self._has("goes on"):
            for work in self._running.values():
                work.cancel()
            self._outbox.clear()
        self._welcome, self._resume_token = welcome, welcome.resume_token
        self._grant()
        for number in sorted(self._outbox):
            report = self._outbox.pop(number)
            if self._has("new numbers"):
                self._number += 1
                report.number = self._number
            self._outbox[report.number] = report
            if not self._has("once"):
                self._send(report)

    def _grant(self) -> None:
        free = SLOTS - len(self._running)
        total = free if self._has("window") else self._received + free
        self._say(granted_total=total + (50 if self._has("boasts") else 0))

    async def _beat(self) -> None:
        while True:
            self._heartbeat(listed=False)
            await asyncio.sleep(self._welcome.heartbeat_interval_ms / 1_000)

    def _heartbeat(self, *, listed: bool) -> None:
        held = self._held()
        said = WorkerMessage()
        said.heartbeat.held_count = len(held)
        said.heartbeat.held_hash = held_hash(held) ^ (1 if self._has("wrong hash") else 0)
        said.heartbeat.received_total = self._received
        said.heartbeat.ready = True
        if listed:
            said.heartbeat.listed = True
            names = () if self._has("empty list") else held
            said.heartbeat.held.extend(AttemptRef(task_id=task, attempt=no) for task, no in names)
        self._outgoing.put_nowait(said)

    def _hear(self, message: GatewayMessage) -> None:
        for assignment in message.assignments:
            self._take(assignment)
        for cancel in message.cancels:
            key = cancel.attempt.task_id, cancel.attempt.attempt
            if key in self._running:
                if not self._has("deaf"):
                    self._running[key].cancel()
            elif not self._has("mute"):
                self._say(stopped=[cancel.attempt])
        for ack in message.report_acks:
            report = self._outbox.get(ack.number)
            if report is None:
                continue
            if not ack.again or self._has("drops"):
                del self._outbox[ack.number]
            else:
                self._send(report)
        if message.heartbeat.list and not self._has("no list"):
            self._heartbeat(listed=True)

    def _take(self, assignment: Assignment) -> None:
        key = assignment.task_id, assignment.attempt
        self._received += 1
        if not self._has("no ack"):
            self._say(acknowledged=[AttemptRef(task_id=key[0], attempt=key[1])])
        if key in self._seen:
            if self._has("runs twice"):
                self._second_run = asyncio.create_task(self._work(key, assignment))
            return
        self._seen.add(key)
        self._running[key] = asyncio.create_task(self._work(key, assignment))

    async def _work(self, key: Key, assignment: Assignment) -> None:
        payload = orjson.loads(assignment.payload_json)
        within_s = None if self._has("late") else assignment.timeout_ms / 1_000
        try:
            async with asyncio.timeout(within_s):
                for step in range(payload.get("steps", 0)):
                    told = 90 - step if self._has("falls") else step
                    self._report(key, TaskUpdate(status=Task.PROCESSING, progress=told))
                    await asyncio.sleep(STEP_S)
        except TimeoutError:
            self._finish(key, TaskUpdate(status=Task.TIMEOUT, error="late"))
            return
        except asyncio.CancelledError:
            self._running.pop(key, None)
            if self._has("completes"):
                self._finish(key, TaskUpdate(status=Task.COMPLETED, result_json=b"{}"))
            self._say(stopped=[AttemptRef(task_id=key[0], attempt=key[1])])
            self._grant()
            raise
        if "bad" in payload:
            error = "" if self._has("no word") else "bad"
            self._finish(key, TaskUpdate(status=Task.FAILED, error=error))
            return
        self._finish(key, TaskUpdate(status=Task.COMPLETED, result_json=b'{"ok":true}'))
        if self._has("chatty"):
            self._report(key, TaskUpdate(status=Task.PROCESSING, progress=99))

    def _report(self, key: Key, update: TaskUpdate) -> WorkerReport:
        self._number += 1
        named = AttemptRef(task_id=key[0], attempt=key[1])
        report = WorkerReport(attempt=named, number=self._number, update=update)
        self._send(report)
        return report

    def _finish(self, key: Key, update: TaskUpdate) -> None:
        self._running.pop(key, None)
        report = self._report(key, update)
        self._outbox[report.number] = report
        self._grant()

    def _send(self, report: WorkerReport) -> None:
        """Sends a report, a large result in chunks before it."""
        result, limit = report.update.result_json, self._welcome.chunk_bytes
        if len(result) <= limit or self._has("no chunks"):
            self._say(reports=[report])
            return
        said = WorkerMessage()
        for offset in range(0, len(result), limit):
            data = result[offset : offset + limit]
            said.result_chunks.add(attempt=report.attempt, offset=offset, data=data)
        bare = WorkerReport()
        bare.CopyFrom(report)
        bare.update.ClearField("result_json")
        bare.chunked_bytes = len(result)
        said.reports.append(bare)
        self._outgoing.put_nowait(said)
