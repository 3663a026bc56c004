"""Characters that terminals and readers of lines obey instead of showing them.

Whoever sends a text may put them there: the strings of JSON may hold all of them, and as they are
those from U+007F on.
"""

import re

#: Controls, the separators of lines and paragraphs, and what changes the direction of a text.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escape_controls(text: str) -> str:
    """Writes control characters as JSON does: in the strings of a JSON text they mean the same."""
    return text if text.isprintable() else CONTROLS.sub(_escaped, text)


def _escaped(character: re.Match[str]) -> str:
    return f"\\u{ord(character[0]):04x}"
