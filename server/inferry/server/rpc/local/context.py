"""What a servicer sees of a call in the same process: a ``grpc.aio.ServicerContext``."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Never

import grpc
from grpc import StatusCode
from grpc.aio import AbortError, AioRpcError, Metadata, UsageError

#: By a name of its own: looking it up in its class takes longer than the rest of ``end``.
_OK = StatusCode.OK

Pairs = Metadata | Sequence[tuple[str, str | bytes]]


class LocalContext(grpc.aio.ServicerContext[Any, Any]):
    """The state of one call, for both of its sides.

    ``read`` and ``write`` are not here: requests come as an iterator, responses by ``yield``.

    Args:
        metadata: Of the caller; keys in lower case.
        timeout: Seconds; None for none.
    """

    # Defaults stand here, not in __init__: most calls never set them.
    _callbacks: Sequence[Callable[[Any], None]] = ()
    _code: StatusCode | None = None
    _details = ""
    _done = False
    _initial: Pairs = ()
    _trailing: Pairs = ()
    #: When it must have ended, by the loop's clock.
    deadline: float | None = None

    def __init__(self, metadata: Pairs | None, timeout: float | None) -> None:
        self._metadata = metadata
        if timeout is not None:
            self.deadline = asyncio.get_running_loop().time() + timeout

    def invocation_metadata(self) -> Any:
        """Gives the caller's metadata as pairs."""
        return self._metadata or ()

    def time_remaining(self) -> Any:
        """Gives the seconds that are left; None without a timeout."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    def peer(self) -> str:
        """Names the other side."""
        return "local"

    def peer_identities(self) -> Iterable[bytes] | None:
        """Gives none: there is no connection."""
        return None

    def peer_identity_key(self) -> str | None:
        """Gives none: there is no connection."""
        return None

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Gives nothing: there is no connection."""
        return {}

    def set_compression(self, compression: grpc.Compression) -> None:
        """Does nothing: there is nothing to compress."""

    def disable_next_message_compression(self) -> None:
        """Does nothing: there is nothing to compress."""

    async def read(self) -> Any:
        """Is not here.

        Raises:
            UsageError: Always.
        """
        raise UsageError("take requests from the request iterator")

    async def write(self, _message: Any) -> None:
        """Is not here.

        Raises:
            UsageError: Always.
        """
        raise UsageError("yield responses")

    async def send_initial_metadata(self, initial_metadata: Pairs) -> None:
        """Shows metadata to the caller at once."""
        self._initial = initial_metadata

    def initial_metadata(self) -> Metadata:
        """Gives what was sent so far."""
        return Metadata(*self._initial)

    def set_trailing_metadata(self, trailing_metadata: Pairs) -> None:
        """Sets the metadata that comes with the end."""
        self._trailing = trailing_metadata

    def trailing_metadata(self) -> Metadata:
        """Gives what was set so far."""
        return Metadata(*self._trailing)

    def set_code(self, code: StatusCode) -> None:
        """Sets the status that the call is to end with."""
        self._code = code

    def code(self) -> Any:
        """Gives the status: as set so far, once ended never None."""
        return self._code

    def set_details(self, details: str) -> None:
        """Sets the message that comes with the status."""
        self._details = details

    def details(self) -> str:
        """Gives the message that comes with the status."""
        return self._details

    async def abort(
        self, code: StatusCode, details: str = "", trailing_metadata: Pairs = ()
    ) -> Never:
        """Ends the call with a status.

        Raises:
            AbortError: Always.
        """
        self._code, self._details = code, details
        self._trailing = trailing_metadata or self._trailing
        raise AbortError("the servicer aborted the call")

    async def abort_with_status(self, status: grpc.Status) -> Never:
        """Ends the call with a status that has details.

        Raises:
            AbortError: Always.
        """
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls ``callback(context)`` once the call has ended."""
        if self._done:
            callback(self)
        else:
            self._callbacks = (*self._callbacks, callback)

    def done(self) -> bool:
        """Whether the call has ended."""
        return self._done

    def cancelled(self) -> bool:
        """Whether the call was cancelled."""
        return self._done and self._code is StatusCode.CANCELLED

    def end(self, code: StatusCode | None = None, details: str = "") -> None:
        """Ends the call: with ``code``, else with what the servicer set, else OK."""
        if code is not None:
            self._code, self._details = code, details
        elif self._code is None:
            self._code = _OK
        if not self._done:
            self._done = True
            for callback in self._callbacks:
                callback(self)

    def end_by(self, error: BaseException) -> BaseException:
        """Ends the call by what its handler raised; returns what its caller is to see."""
        if isinstance(error, AbortError):
            self.end()
            return self.failure()
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            self.end(StatusCode.CANCELLED, "Locally cancelled by application!")
            return error
        self.end(StatusCode.UNKNOWN, f"Unexpected {type(error)}")
        return self.failure()

    def check(self) -> None:
        """Tells the caller how the call ended.

        Raises:
            CancelledError: It was cancelled.
            AioRpcError: It failed.
        """
        if self._code is _OK:
            return
        if self._code is StatusCode.CANCELLED:
            raise asyncio.CancelledError
        raise self.failure()

    def failure(self) -> AioRpcError:
        """Makes the error that a caller gets of a call that has not ended well."""
        return AioRpcError(
            self._code or StatusCode.UNKNOWN,
            self.initial_metadata(),
            self.trailing_metadata(),
            self._details,
        )
