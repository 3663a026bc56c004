"""How long a command waits for a gateway that went away."""

import time
from collections.abc import Callable, Iterator, Sequence

import grpc

from inferry.cli.session import passes, why
from inferry.cli.terminal import say

#: Pauses before another try; half a minute in all.
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)

#: Waits for some seconds, or less if nobody waits any longer.
Sleep = Callable[[float], object]


class Patience:
    """Pauses between tries, each longer than the one before; all of them again after a success.

    Args:
        pauses_s: The pauses, in seconds.
        sleep: Waits for one of them.
        quiet: Says nothing: somebody else does.
    """

    def __init__(
        self,
        pauses_s: Sequence[float] = PAUSES_S,
        sleep: Sleep = time.sleep,
        *,
        quiet: bool = False,
    ) -> None:
        self._pauses_s = pauses_s
        self._sleep = sleep
        self._quiet = quiet
        self._left: Iterator[float] = iter(pauses_s)

    def renew(self) -> None:
        """Notes that the gateway is there."""
        self._left = iter(self._pauses_s)

    def wait(self, error: grpc.RpcError) -> None:
        """Waits before the next try, and says so on standard error, unless it is to be quiet.

        Raises:
            RpcError: The same again would do no better, or it has been waited for long enough.
        """
        pause_s = next(self._left, None) if passes(error) else None
        if pause_s is None:
            raise error
        if not self._quiet:
            say(f"the gateway is away ({why(error)}): tries again in {pause_s:g} s", err=True)
        self._sleep(pause_s)
