"""What one route turns requests into, and answers into: compiled once from its descriptors."""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from inferry.bridge.body import fill, read_body
from inferry.bridge.config import BridgeConfig
from inferry.bridge.contract import CALLBACK_RPC, LENIENT_MESSAGES
from inferry.bridge.decode import Setter, decoder, query_setters
from inferry.bridge.encode import encoder
from inferry.bridge.errors import FieldError
from inferry.bridge.exchange import Exchange
from inferry.bridge.routes import Route

#: What may stand around a result in a callback.
_ENVELOPE_BYTES = 64 * 1024


class Transcoder:
    """REST request -> RPC request, RPC response -> JSON."""

    def __init__(self, route: Route, config: BridgeConfig) -> None:
        self._request: Callable[[], Message] = GetMessageClass(route.method.input_type)
        self._variables = route.variables
        self._body_field = "" if route.body == "*" else route.body
        self._takes_body = route.verb != "GET"
        self._decode = decoder(route.body_type) if route.body_type else _refuse_fields
        self._query = _query(route)
        lenient = route.body_type and route.body_type.full_name in LENIENT_MESSAGES
        self._other: Setter = _ignore if lenient else _refuse
        self._body_timeout_s = config.body_timeout_ms / 1_000
        self._limit = config.request_limit_bytes
        if route.rpc == CALLBACK_RPC:
            self._limit = config.result_limit_bytes + _ENVELOPE_BYTES
        self._response_field = route.response_body
        self._encode = encoder(route.answer_type)

    async def request(self, exchange: Exchange) -> Any:
        """Makes the RPC's request; the path goes before the query, the query before the body.

        Raises:
            BridgeError: The request is wrong.
        """
        message = self._request()
        if self._takes_body:
            body = await read_body(exchange.request, self._limit, self._body_timeout_s)
            target = getattr(message, self._body_field) if self._body_field else message
            fill(target, body, self._decode)
        if exchange.request.rel_url.raw_query_string:
            self._read_query(message, exchange)
        for name in self._variables:
            setattr(message, name, exchange.variables[name])
        return message

    def content(self, response: Any) -> Any:
        """Picks what the answer shows of a response."""
        return getattr(response, self._response_field) if self._response_field else response

    def plain(self, response: Any) -> dict[str, Any]:
        """Prints a response as plain JSON."""
        printed: dict[str, Any] = self._encode(self.content(response))
        return printed

    def _read_query(self, message: Message, exchange: Exchange) -> None:
        for name, text in exchange.request.rel_url.query.items():
            setter = self._query.get(name, self._other)
            try:
                setter(message, text)
            except FieldError as error:
                error.within(name)
                raise error.refusal() from None


def _refuse_fields(_: Message, data: Mapping[str, Any]) -> None:
    """Stands for a body that fills nothing: what somebody means by a field must not be lost."""
    for name in data:
        error = FieldError("this request has no body")
        error.within(name)
        raise error


def _refuse(*_: Any) -> None:
    raise FieldError("no such parameter")


def _ignore(*_: Any) -> None:
    """Stands for what a backend says and nobody asked for."""


def _query(route: Route) -> dict[str, Setter]:
    """Picks what a query may set: what neither the path nor the body do."""
    if route.body == "*":
        return {}
    request = route.method.input_type
    setters = dict(query_setters(request))
    for name in {*route.variables, route.body} - {""}:
        field = request.fields_by_name[name]
        setters.pop(field.name, None)
        setters.pop(field.json_name, None)
    return setters
