"""What failures have in common: their messages without what differs from one to the next."""

import re
from hashlib import blake2b

#: Characters of a message that count.
MESSAGE_CHARS = 300
_PLACEHOLDERS = {
    "text": re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`"),
    "url": re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s,;)\]}>]+", re.IGNORECASE),
    "id": re.compile(
        r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b(?:[a-z]{1,16}_)?[0-9A-HJKMNP-TV-Z]{26}\b",
        re.IGNORECASE,
    ),
    "path": re.compile(r"(?<![\w/<])(?:[A-Za-z]:\\|~?/)[\w.@+~-]+(?:[\\/][\w.@+~-]+)*[\\/]?"),
    "hex": re.compile(r"\b0x[0-9a-f]+\b|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}\b", re.IGNORECASE),
    "n": re.compile(r"\d+(?:[.,:]\d+)*"),
}
_DIGEST_BYTES = 8


def normal_of(message: str) -> str:
    """Gives a message with placeholders for texts in quotes, URLs, ids, paths and numbers."""
    normal = " ".join(message[: 2 * MESSAGE_CHARS].split())
    for name, pattern in _PLACEHOLDERS.items():
        normal = pattern.sub(f"<{name}>", normal)
    return normal[:MESSAGE_CHARS]


def fingerprint_of(task_type: str, code: str, message: str) -> str:
    """Gives what is the same for failures of one type, code and normalised message: 16 digits."""
    words = "\0".join((task_type, code, normal_of(message)))
    return blake2b(words.encode(errors="replace"), digest_size=_DIGEST_BYTES).hexdigest()
