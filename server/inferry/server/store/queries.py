"""Reads the SQL of a store: statements with names, in one file."""

import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable


def load_queries(
    folder: Traversable, parts: Mapping[str, str], name: str = "queries.sql"
) -> dict[str, str]:
    """Reads a file: each statement by its name, with ``parts`` for names in braces."""
    text = (folder / name).read_text("utf-8")
    _, *named = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    bodies = (re.sub(r"^--.*\n", "", body, flags=re.MULTILINE) for body in named[1::2])
    statements = (body.strip().removesuffix(";").format(**parts) for body in bodies)
    return dict(zip(named[::2], statements, strict=True))
