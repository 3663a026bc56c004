"""The id of a request: it is in the answer, and in the lines of the log that tell of it."""

import re
from collections.abc import Iterable

#: The header, as metadata has it.
REQUEST_ID = "x-request-id"

_REQUEST_ID = re.compile(r"[!-~]{1,128}", re.ASCII)


def is_request_id(text: str) -> bool:
    """Whether a text can be the id of a request, and stand in a log as it came."""
    return _REQUEST_ID.fullmatch(text) is not None


def request_id_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """Finds the id of a call in its metadata; empty if it has none."""
    for key, value in metadata or ():
        if key == REQUEST_ID:
            return value if isinstance(value, str) and is_request_id(value) else ""
    return ""
