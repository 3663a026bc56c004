"""Lines of JSON, turned into batches of tasks to create."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from inferry.cli.batch.lines import Line
from inferry.v1.task_service_pb2 import CreateTaskRequest
from inferry.wire.decode import decoder
from inferry.wire.errors import FieldError
from inferry.wire.limits import BATCH_BYTES, BATCH_TASKS
from inferry.wire.text import check_object

#: Bytes that stand around a request in a batch, at most.
_AROUND = 5


class Creation(NamedTuple):
    """A task to create, and the line that it stands in."""

    line: int
    request: CreateTaskRequest


#: Takes a line that is none, and why.
Refuse = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class Pattern:
    """What the lines of a file have in common."""

    #: What the command line says of all tasks.
    common: CreateTaskRequest
    #: With the number of its line, the request id of a task.
    run: str
    #: A line is a whole request to create a task; else it is the payload alone.
    whole: bool

    def creation(self, line: Line) -> Creation:
        """Makes the creation that a line asks for.

        Raises:
            FieldError: It asks for none.
        """
        if line.text is None:
            raise FieldError(f"longer than a whole batch, {BATCH_BYTES:,} bytes")
        check_object(line.text)
        request = CreateTaskRequest()
        request.CopyFrom(self.common)
        if self.whole:
            decoder(CreateTaskRequest.DESCRIPTOR)(request, line.text)
        else:
            request.payload_json = line.text
        # Without one, a call that broke could not be made again.
        request.request_id = request.request_id or f"{self.run}-{line.number}"
        if request.ByteSize() + _AROUND > BATCH_BYTES:
            raise FieldError(f"longer than a whole batch, {BATCH_BYTES:,} bytes")
        return Creation(line.number, request)


@dataclass(slots=True)
class _Batch:
    creations: list[Creation] = field(default_factory=list)
    size: int = 0


def batches(
    lines: Iterable[Line | None], pattern: Pattern, refuse: Refuse
) -> Iterator[list[Creation]]:
    """Gives the tasks to create in batches, none larger than a call takes.

    A batch ends early where the lines make a pause, and may be empty then.
    """
    batch = _Batch()
    for line in lines:
        creation = None
        if line is not None:
            try:
                creation = pattern.creation(line)
            except FieldError as error:
                refuse(line.number, str(error))
                continue
        size = creation.request.ByteSize() + _AROUND if creation else 0
        full = len(batch.creations) == BATCH_TASKS or batch.size + size > BATCH_BYTES
        if creation is None or (batch.creations and full):
            yield batch.creations
            batch = _Batch()
        if creation is not None:
            batch.creations.append(creation)
            batch.size += size
    if batch.creations:
        yield batch.creations
