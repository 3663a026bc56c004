"""The token in a callback URL, as far as its shape tells: ``{attempt}.{server_id}.{mac}``.

Backends that echo their request have it in what they say. It is the right to report on an attempt:
it must not come to be shown to those who read the task.
"""

import re

#: Whatever stands before it (``token%3D1.srv_``, ``\\u00221.srv_``), and however short it was cut.
_TOKEN = re.compile(rb"(\.srv_[0-9A-Za-z]{26}\.)[A-Za-z0-9_-]{1,24}")
_MARK = b".srv_"
_MARK_TEXT = _MARK.decode()
#: The last part alone is secret.
_REDACTED = rb"\1[callback token]"


def redact(text: bytes) -> bytes:
    """Takes the callback tokens out of what a backend said."""
    return _TOKEN.sub(_REDACTED, text) if _MARK in text else text


def redact_text(text: str) -> str:
    """Takes them out of a text that was read."""
    return redact(text.encode()).decode() if _MARK_TEXT in text else text
