"""The pace at which messages are taken over from gRPC: so many bytes a turn of the event loop.

gRPC copies a message twice, in the step that follows the wait for it: some five milliseconds for
four MiB. Those of one connection end their waits at the same time. Taken over in the same turn,
they would keep all else waiting until the last of them is copied.
"""

import asyncio
from collections.abc import Generator
from types import coroutine
from typing import Any

from grpc.aio import EOF

from inferry.server.rpc.call_log import Context

#: The message that fills this is the last one of a turn.
_BYTES_A_TURN = 1_048_576


class Pace:
    """Lets messages be taken over until a turn of the loop has had its bytes.

    Args:
        bytes_a_turn: Those bytes; more than that by one message at most.
    """

    def __init__(self, bytes_a_turn: int = _BYTES_A_TURN) -> None:
        self._bytes_a_turn = bytes_a_turn
        self._taken = 0

    @coroutine
    def read(self, context: Context) -> Generator[Any, Any, Any]:
        """Gives the next message of a call, or ``EOF``, as ``context.read`` does."""
        steps, hung_up = context.read().__await__(), None
        try:
            awaited = next(steps)
            while True:
                try:
                    yield awaited
                except BaseException as error:  # noqa: BLE001  # it is meant for that wait
                    awaited = steps.throw(error)
                    continue
                while self._taken >= self._bytes_a_turn:
                    try:
                        yield  # until the next turn
                    except asyncio.CancelledError as error:
                        # gRPC lets go of a message that has come only when it is taken.
                        hung_up = error
                awaited = next(steps)
        except StopIteration as end:
            message = end.value
        if message is not EOF:
            self._take(len(message))
        if hung_up is not None:
            # An error keeps the variables of whoever raised it.
            del message
            raise hung_up
        return message

    def _take(self, size: int) -> None:
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._renew)
        self._taken += size

    def _renew(self) -> None:
        self._taken = 0
