"""The endpoint that creates many tasks: what is wrong with one costs no other."""

from aiohttp import web

from inferry.bridge.contract import KEY_HEADER
from inferry.bridge.errors import invalid, refusal
from inferry.bridge.exchange import Call, Exchange
from inferry.bridge.transcode import Transcoder
from inferry.v1 import task_service_pb2 as pb
from inferry.wire.checks import rules_of
from inferry.wire.decode import decoder
from inferry.wire.errors import FieldError, NoJsonError
from inferry.wire.members import elements, members
from inferry.wire.structs import struct_from
from inferry.wire.text import no_json, without_bom

_FIELD = "requests"
_NULL = b"null"
#: Requests that a batch may have.
_MOST = rules_of(pb.BatchCreateTasksRequest.DESCRIPTOR.fields_by_name[_FIELD]).max_items
_decode = decoder(pb.CreateTaskRequest.DESCRIPTOR)

#: A request, or why it is none.
_Read = pb.CreateTaskRequest | FieldError


class Batch:
    """Creates tasks, each with an answer of its own."""

    def __init__(self, transcoder: Transcoder, call: Call) -> None:
        self._transcoder = transcoder
        self._call = call

    async def __call__(self, exchange: Exchange) -> web.Response:
        """Answers 200 with what became of each task, if the body is a batch at all."""
        metadata = exchange.metadata()
        if KEY_HEADER in exchange.request.headers:
            raise invalid(
                f"{KEY_HEADER}: of no use for a batch; each of its requests has a requestId"
            )
        read = _read(await self._transcoder.body(exchange, metadata))
        good = [one for one in read if not isinstance(one, FieldError)]
        results: list[pb.BatchCreateTasksResult] = []
        if good or not read:
            # It goes on without its client.
            request = pb.BatchCreateTasksRequest(requests=good)
            results += (await self._call(request, metadata=metadata)).results
        made = iter(results)
        merged = [_refused(one) if isinstance(one, FieldError) else next(made) for one in read]
        return exchange.answer(self._transcoder.plain(pb.BatchCreateTasksResponse(results=merged)))


def _read(body: bytes) -> list[_Read]:
    """Reads the requests of a batch.

    Raises:
        BridgeError: It is no JSON, no batch, or too many.
    """
    text = without_bom(body)
    try:
        return [_read_one(one) for one in _split(text)]
    except NoJsonError as error:
        raise refusal(no_json(text, error.position)) from None
    except FieldError as error:
        raise refusal(error) from None


def _split(text: bytes) -> list[bytes]:
    given = members(text) if text else {}
    unknown = next((name for name in given if name != _FIELD), None)
    if unknown is not None:
        error = FieldError(f"no such field; there are: {_FIELD}")
        error.within(unknown)
        raise error
    listed = given.get(_FIELD, _NULL)
    found = [] if listed == _NULL else elements(listed)
    if len(found) > _MOST:
        raise FieldError(f"{_FIELD}: {len(found)}; right is 1 to {_MOST}")
    return found


def _read_one(text: bytes) -> _Read:
    request = pb.CreateTaskRequest()
    try:
        _decode(request, text)
    except NoJsonError:
        raise
    except FieldError as error:
        return error
    return request


def _refused(error: FieldError) -> pb.BatchCreateTasksResult:
    told = refusal(error)
    return pb.BatchCreateTasksResult(
        refusal=pb.TaskRefusal(
            code=told.code, error=told.message, details=struct_from(told.details)
        )
    )
