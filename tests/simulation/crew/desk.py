"""The reports of one process of a worker: numbered, and sent until they are acknowledged."""

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
from google.protobuf.json_format import ParseDict

from inferry.server.errors import InvalidPayloadError
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.v1.worker_pb2 import AttemptRef, ReportAck, ResultChunk, WorkerReport
from tests.simulation.crew.books import FINAL, Key
from tests.simulation.history import Report

if TYPE_CHECKING:
    from tests.simulation.crew.process import Process

_AGAIN_S = 1.0


class Desk:
    """Where they lie.

    Args:
        process: Whose they are.
    """

    def __init__(self, process: "Process") -> None:
        self._process = process
        #: As the gateway has it.
        self.limit = 1
        self.chunk_bytes = 0
        self._numbers = 0
        self._waiting: dict[int, tuple[Key, dict[str, Any]]] = {}
        #: Those of them that were sent on the stream of now.
        self._sent: set[int] = set()

    @property
    def unread(self) -> bool:
        """Whether there is one that nobody acknowledged."""
        return bool(self._waiting)

    def ended(self) -> list[Key]:
        """Lists the attempts whose end nobody acknowledged."""
        return [key for key, said in self._waiting.values() if _final(said)]

    def report(self, key: Key, said: dict[str, Any]) -> None:
        """Has something reported."""
        self._numbers += 1
        self._waiting[self._numbers] = key, said
        self.send()

    def rewind(self) -> None:
        """Has all sent again: there is another stream."""
        self._sent.clear()

    def send(self) -> None:
        """Sends what may be sent."""
        process = self._process
        for number in sorted(self._waiting.keys() - self._sent):
            if len(self._sent) >= self.limit or process.wire is None or not process.welcome_s:
                return
            self._sent.add(number)
            self._say(number)
            if process.world.happens(process.world.weather.double_p / 2):
                self._say(number)

    def acknowledged(self, ack: ReportAck) -> None:
        """The gateway told what became of one."""
        if ack.number not in self._waiting:
            return
        key, said = self._waiting[ack.number]
        status = Task.Status.Name(ack.status)
        process = self._process
        process.world.trace(process.name, "reported", *key, said["status"], "->", status, ack.code)
        if ack.code == InvalidPayloadError.code:
            process.world.violate(f"a good report was refused: {ack.error}")
        if ack.again:
            process.start(self._again(ack.number))
            return
        del self._waiting[ack.number]
        self._sent.discard(ack.number)
        if ack.stop and key in process.works:
            process.cancel(key)
        if not ack.code and not said.get("loss"):
            process.world.history.reported(Report(*key, said, status))
        if _final(said) and process.world.happens(process.world.weather.lie_p):
            self._lie(key)

    async def _again(self, number: int) -> None:
        await asyncio.sleep(_AGAIN_S)
        self._sent.discard(number)
        self.send()

    def _lie(self, key: Key) -> None:
        """Reports on what is over."""
        lies: tuple[dict[str, Any], ...] = (
            {"status": "COMPLETED", "result": {"attempt": key[1], "number": 2}},
            {"status": "FAILED", "error": "after all"},
            {"status": "PROCESSING", "progress": 5},
        )
        lie = self._process.random.choice(lies)
        if self._process.random.random() < 0.5:
            key = key[0], max(1, key[1] - 1)
            lie = {"status": "PROCESSING", "progress": 5}
        self.report(key, lie)

    def _say(self, number: int) -> None:
        (task_id, attempt), said = self._waiting[number]
        report = WorkerReport(attempt=AttemptRef(task_id=task_id, attempt=attempt), number=number)
        told = {name: value for name, value in said.items() if name != "result"}
        ParseDict(told, report.update)
        result = orjson.dumps(said["result"]) if "result" in said else b""
        chunks = []
        if len(result) > self.chunk_bytes:
            report.chunked_bytes = len(result)
            size = self.chunk_bytes
            chunks = [
                ResultChunk(attempt=report.attempt, offset=at, data=result[at : at + size])
                for at in range(0, len(result), size)
            ]
        elif result:
            report.update.result_json = result
        for chunk in chunks:
            self._process.say(result_chunks=[chunk])
        self._process.say(reports=[report])


def _final(said: dict[str, Any]) -> bool:
    update = ParseDict({"status": said["status"]}, TaskUpdate())
    return update.status in FINAL
