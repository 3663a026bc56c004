"""What keeps a gateway from its data: the secret and the store, each with what to do about it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import apsw

from inferry.cli.exit_codes import ExitCode
from inferry.cli.lifetime import failed
from inferry.cli.places import Places
from inferry.cli.secret_faults import secret_fault
from inferry.cli.start_faults import REFUSED, ROOM, WRITABLE, causes, errno_of
from inferry.server.access.secret import SecretError
from inferry.server.store import StoreError
from inferry.server.store.sqlite.lockfile import LockedError

_SQLITE: Mapping[type[BaseException], str] = {
    LockedError: "stop that one, or name another place",
    apsw.FullError: ROOM,
    apsw.ReadOnlyError: WRITABLE,
    apsw.CantOpenError: WRITABLE,
    apsw.PermissionsError: WRITABLE,
    apsw.IOError: "see what ails that disk, or name another place",
    apsw.NotADBError: "move it away, or name another place",
}
#: By how the state of a refusal begins, as the SQL standard has it.
_DATABASE: Mapping[str, str] = {
    "28": "give the user and the password that it knows",
    "3D": "make it there, or name another",
    "42501": "give the user that right there, or name another user",
    "53300": "allow it more connections, or name another",
}
_AWAY = "see that it runs there and can be reached, or name another"


@contextmanager
def blaming_data(places: Places) -> Iterator[None]:
    """Ends a start for which the secret or the store will not do, and says what to do.

    Raises:
        Exit: One of them will not do.
    """
    try:
        yield
    except SecretError as error:
        # What the disk refuses is no wrong setting.
        code = ExitCode.FAILED if errno_of(error) else ExitCode.USAGE
        raise failed(secret_fault(error, places), code) from None
    except StoreError as error:
        remedy = _remedy(error)
        # Without a store of its own it is in the data directory.
        name = "store" if places.of("store") else "data_dir"
        text = f"{error}; {remedy} {places.way(name)}" if remedy else str(error)
        raise failed(text, ExitCode.FAILED) from None


def _remedy(error: StoreError) -> str:
    """Tells what helps; empty where the error says so itself."""
    found = list(causes(error))
    for kind, remedy in _SQLITE.items():
        if any(isinstance(one, kind) for one in found):
            return remedy
    # Named by what it has: the driver of PostgreSQL need not be installed.
    states = [str(state) for one in found if (state := getattr(one, "sqlstate", None))]
    for beginning, remedy in _DATABASE.items():
        if any(state.startswith(beginning) for state in states):
            return remedy
    number = errno_of(error)
    if number in REFUSED:
        return REFUSED[number]
    return _AWAY if any(isinstance(one, OSError) for one in found) else ""
