"""What keeps a gateway from its data: the secret and the store, each with what to do about it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import apsw

from inferry.cli.exit_codes import ExitCode
from inferry.cli.lifetime import failed
from inferry.cli.places import Places
from inferry.cli.secret_faults import secret_fault
from inferry.cli.start_faults import REFUSED, ROOM, WRITABLE, causes, errno_of
from inferry.server.access.secret import SecretError
from inferry.server.config import Config
from inferry.server.config.store import SQLITE
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
_FILE = "see that the sockets and certificates that it names can be read, or name others"
_UNCLEAR = "correct it"
_AWAY = "see that it runs there and can be reached, or name another"


@contextmanager
def blaming_data(places: Places, config: Config) -> Iterator[None]:
    """Ends a start for which the secret or the store will not do, and says what to do.

    Args:
        places: Where the settings come from.
        config: The settings.

    Raises:
        Exit: One of them will not do.
    """
    store = "" if config.store is None else config.store.get_secret_value()
    # Without a store of its own it is in the data directory.
    name, in_file = "store" if store else "data_dir", not store or store.startswith(SQLITE)
    try:
        yield
    except SecretError as error:
        # What the disk refuses is no wrong setting.
        code = ExitCode.FAILED if errno_of(error) else ExitCode.USAGE
        raise failed(secret_fault(error, places), code) from None
    except StoreError as error:
        found = list(causes(error))
        remedy = _of_file(found) if in_file else _of_database(found)
        text = f"{error}; {remedy} {places.way(name)}" if remedy else str(error)
        raise failed(text, ExitCode.FAILED) from None


def _of_file(found: Sequence[BaseException]) -> str:
    """Tells what helps with a file; empty where the error says so itself."""
    for kind, remedy in _SQLITE.items():
        if any(isinstance(one, kind) for one in found):
            return remedy
    return REFUSED.get(errno_of(found[0]), "")


def _of_database(found: Sequence[BaseException]) -> str:
    """Tells what helps with a database; likewise."""
    # Named by what it has: the driver of PostgreSQL need not be installed.
    states = [str(state) for one in found if (state := getattr(one, "sqlstate", None))]
    for beginning, remedy in _DATABASE.items():
        if any(state.startswith(beginning) for state in states):
            return remedy
    for one in found:
        if isinstance(one, OSError):
            return _FILE if isinstance(one, FileNotFoundError | PermissionError) else _AWAY
    return _UNCLEAR if any(isinstance(one, ValueError) for one in found) else ""
