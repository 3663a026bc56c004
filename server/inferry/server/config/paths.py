"""Paths as people write them in settings."""

from pathlib import Path


def absolute(path: Path) -> Path:
    """Makes a path that means the same wherever the process is.

    Raises:
        ValueError: It can be no file's name, or begins with a home that nobody here has.
    """
    text = str(path)
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("expected a path in UTF-8")
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"expected a path; there is no home {path.parts[0]} here") from None
