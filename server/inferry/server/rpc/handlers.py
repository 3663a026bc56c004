"""What runs a method: read of gRPC's handlers, and made anew as another of the same kind."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import grpc

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
MaybeHandler: TypeAlias = "Handler | None"

_HANDLERS: Mapping[tuple[bool, bool], Callable[..., Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def behaviour_of(handler: Handler) -> Callable[[Any, Any], Any]:
    """Gives what runs a handler, of whichever kind it is."""
    kinds = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
    return next(behaviour for behaviour in kinds if behaviour is not None)


def like(handler: Handler, behaviour: Callable[[Any, Any], Any], read: Any) -> Handler:
    """Makes a handler of the same kind that runs something else.

    Args:
        handler: The one that it is like.
        behaviour: What it runs.
        read: Makes a message of its bytes; None leaves them as they are.
    """
    make = _HANDLERS[handler.request_streaming, handler.response_streaming]
    return make(behaviour, read, handler.response_serializer)
