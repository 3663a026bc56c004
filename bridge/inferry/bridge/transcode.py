"""What one route turns requests into, and answers into: compiled once from its descriptors."""

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from inferry.bridge.body import fill, read_body
from inferry.bridge.config import BridgeConfig
from inferry.bridge.contract import (
    BATCH_RPC,
    CALLBACK_RPC,
    EXCHANGE_BYTES,
    EXCHANGE_RPC,
    LAST_EVENT_PARAMETERS,
    POLYFILL_PARAMETERS,
)
from inferry.bridge.errors import refusal
from inferry.bridge.exchange import Exchange, Metadata
from inferry.bridge.gate import Gate
from inferry.bridge.routes import Route
from inferry.v1.task_pb2 import ValueFormat
from inferry.wire.decode import QuerySetter, decoder, query_maps, query_setters
from inferry.wire.encode import encoder
from inferry.wire.errors import FieldError
from inferry.wire.limits import BATCH_BYTES, ENVELOPE_BYTES
from inferry.wire.members import members
from inferry.wire.rules import chooses_format


class Transcoder:
    """REST request -> RPC request, RPC response -> JSON."""

    def __init__(self, route: Route, config: BridgeConfig, gate: Gate) -> None:
        self._gate = gate
        request = route.method.input_type
        self._request: Callable[[], Message] = GetMessageClass(request)
        self._variables = route.variables
        #: Reads those that are no words.
        self._read = {
            name: query_setters(request)[name]
            for name in route.variables
            if request.fields_by_name[name].type != FieldDescriptor.TYPE_STRING
        }
        self._body_field = "" if route.body == "*" else route.body
        self._takes_body = route.verb != "GET"
        self._decode = decoder(route.body_type) if route.body_type else _refuse_fields
        self._query = _query(route)
        known = query_maps(request)
        self._maps = {
            name: known[name]
            for field in route.query_maps
            for name in (field.name, field.json_name)
        }
        #: The RPC that takes results reads their text itself: they are read as answers are.
        self._reports = route.rpc == CALLBACK_RPC
        self._other: QuerySetter = _ignore if self._reports else _refuse
        self._chooses_format = chooses_format(request)
        self._body_timeout_s = config.body_timeout_ms / 1_000
        self._limit = {
            CALLBACK_RPC: config.result_limit_bytes + ENVELOPE_BYTES,
            BATCH_RPC: BATCH_BYTES,
            EXCHANGE_RPC: EXCHANGE_BYTES,
        }.get(route.rpc, config.request_limit_bytes)
        self._response_field = route.response_body
        self._encode = encoder(route.answer_type)

    async def request(self, exchange: Exchange, metadata: Metadata) -> Any:
        """Makes the RPC's request; the path goes before the query, the query before the body.

        Args:
            exchange: What was asked over HTTP.
            metadata: What goes with the RPC: it decides whether a body is read at all.

        Raises:
            BridgeError: The request is wrong, or its sender may not make it.
        """
        message: Any = self._request()
        if self._chooses_format:
            message.value_format = ValueFormat.JSON_TEXT
        if self._takes_body:
            body = await self.body(exchange, metadata)
            if self._reports:
                message.update_json = body
            else:
                target = getattr(message, self._body_field) if self._body_field else message
                fill(target, body, self._decode)
        if exchange.request.rel_url.raw_query_string:
            self._read_query(message, exchange)
        for name in self._variables:
            if name in self._read:
                self._read_variable(message, name, exchange.variables[name])
            else:
                setattr(message, name, exchange.variables[name])
        return message

    async def body(self, exchange: Exchange, metadata: Metadata) -> bytes:
        """Reads the body of a request, once its sender may send one.

        Raises:
            BridgeError: The sender may not, or the body is none of its kind, or too large.
        """
        await self._gate.ask(exchange, metadata)
        # Backends call their reports what they like: one must not be lost for its type.
        return await read_body(
            exchange.request, self._limit, self._body_timeout_s, any_type=self._reports
        )

    def plain(self, response: Any) -> dict[str, Any]:
        """Prints what the answer shows of a response as plain JSON."""
        shown = getattr(response, self._response_field) if self._response_field else response
        printed: dict[str, Any] = self._encode(shown)
        return printed

    def _read_variable(self, message: Message, name: str, text: str) -> None:
        message.ClearField(name)
        try:
            self._read[name](message, text)
        except FieldError as error:
            error.within(name)
            raise refusal(error) from None

    def _read_query(self, message: Message, exchange: Exchange) -> None:
        for name, text in exchange.request.rel_url.query.items():
            try:
                place, dot, key = name.partition(".")
                if dot and key and place in self._maps:
                    self._maps[place](message, key, text)
                else:
                    self._query.get(name, self._other)(message, text)
            except FieldError as error:
                error.within(name)
                raise refusal(error) from None


def _refuse_fields(_: Message, text: bytes) -> None:
    """Stands for a body that fills nothing: what somebody means by a field must not be lost."""
    for name in members(text):
        error = FieldError("this request has no body")
        error.within(name)
        raise error


def _refuse(*_: Any) -> None:
    raise FieldError("no such parameter")


def _ignore(*_: Any) -> None:
    """Stands for what a backend says and nobody asked for."""


def _query(route: Route) -> dict[str, QuerySetter]:
    """Picks what a query may set: what neither the path nor the body do."""
    known = query_setters(route.method.input_type)
    setters = {
        name: known[name] for field in route.query_fields for name in (field.name, field.json_name)
    }
    if route.method.server_streaming:
        # Read where the header is, which means the same.
        setters |= dict.fromkeys((*LAST_EVENT_PARAMETERS, *POLYFILL_PARAMETERS), _ignore)
    return setters
