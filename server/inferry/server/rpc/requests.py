"""What the protos say of a request is checked here, before a servicer sees it."""

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from inferry.server.errors import InvalidPayloadError
from inferry.wire.checks import check
from inferry.wire.errors import FieldError


def check_request(request: Message, within: str = "") -> None:
    """Checks a request, or another message that somebody sent, by the rules of its proto.

    Args:
        request: What came.
        within: The field that it stands in; empty for none.

    Raises:
        InvalidPayloadError: It breaks one.
    """
    try:
        check(request)
    except FieldError as error:
        if within:
            error.within(within)
        refusal = InvalidPayloadError(str(error))
        if where := error.where():
            refusal.details = {"field": where}
        raise refusal from None


def checking(
    handler: "grpc.RpcMethodHandler[Any, Any]", behaviour: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Any]:
    """Makes the behaviour of a method whose request is checked first, unless it is a stream."""
    if handler.request_streaming:
        return behaviour

    def checked(request: Any, context: Any) -> Any:
        check_request(request)
        return behaviour(request, context)

    return checked
