"""What keeps a server from starting, in one sentence: what is wrong, and what to do where."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from inferry.cli.exit_codes import ExitCode
from inferry.cli.lifetime import failed
from inferry.cli.places import Places
from inferry.wire.hosts import NoHostError

_PORT: Mapping[int, str] = {
    errno.EADDRINUSE: "stop what listens there, or take another port",
    errno.EACCES: "take one that this user may use, such as 8787,",
}
ROOM = "make room there, or name another place"
WRITABLE = "name a place that this user may write to"
#: What to do about a file or a folder, by the number of what the system refused.
REFUSED: Mapping[int, str] = {
    errno.ENOENT: "make the folder that it is to be in, or name another place",
    errno.EEXIST: "it is no folder: name another place",
    errno.EISDIR: "it is a folder: name a file",
    errno.ENOTDIR: "what is above it is no folder: name another place",
    errno.ENAMETOOLONG: "name a shorter one",
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EACCES: WRITABLE,
    errno.EPERM: WRITABLE,
    errno.EROFS: WRITABLE,
}
_HOST = "name one of this machine"


@contextmanager
def blaming(places: Places, name: str) -> Iterator[None]:
    """Ends a start that the system refuses, and says which setting is to blame.

    Args:
        places: Where the settings come from.
        name: The setting: ``port``, ``grpc_port`` or ``data_dir``.

    Raises:
        Exit: The system refused.
    """
    try:
        yield
    except NoHostError as error:
        raise failed(f"{error}; {_HOST} {places.way('host')}", ExitCode.FAILED) from None
    except OSError as error:
        remedies, usual = (REFUSED, WRITABLE) if name == "data_dir" else (_PORT, "take another")
        text = f"{error}; {remedies.get(errno_of(error), usual)} {places.way(name)}"
        raise failed(text, ExitCode.FAILED) from None


def errno_of(error: BaseException) -> int:
    """Finds the number of what the system refused; 0 if it refused nothing."""
    for one in causes(error):
        if isinstance(one, OSError) and one.errno:
            return one.errno
    return 0


def causes(error: BaseException) -> Iterator[BaseException]:
    """Gives an error, and what led to it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
