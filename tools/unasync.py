"""Makes the synchronous client, and its tests, of the asynchronous ones.

``python -m tools.unasync --write`` writes them, ``--check`` tells whether they are what it would
write. ``async`` and ``await`` go, names change by one table, docstrings and comments likewise. What
differs in nature stands in hand-written modules of the same names, which are left alone.
"""

import argparse
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tokenize import COMMENT, NAME, STRING, TokenInfo, generate_tokens
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Pair(NamedTuple):
    """A folder, the one that is made of it, and what is written by hand in both."""

    source: Path
    target: Path
    by_hand: frozenset[str]


PAIRS = (
    Pair(
        ROOT / "client/inferry/client/aio",
        ROOT / "client/inferry/client/sync",
        frozenset({"__init__.py", "machinery.py"}),
    ),
    Pair(ROOT / "tests/client/aio", ROOT / "tests/client/sync", frozenset({"conftest.py"})),
)

_NAMES = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "StopAsyncIteration": "StopIteration",
    "AsyncIterator": "Iterator",
    "AsyncExitStack": "ExitStack",
    "asynccontextmanager": "contextmanager",
    "aclosing": "closing",
    "aclose": "close",
    "anext": "next",
    "aiter": "iter",
    "AsyncClient": "Client",
    "AsyncFunction": "Function",
    "AsyncServers": "Servers",
    "AsyncTask": "Task",
    "AsyncTasks": "Tasks",
    "aio": "sync",
}
_WORDS = re.compile(rf"\b({'|'.join(_NAMES)})\b")
_GONE = re.compile(r"\b(?:async|await) ")
#: gRPC's own synchronous names stand one level higher.
_GRPC = re.compile(r"\bgrpc\.aio\b")
#: What is waited for there is what is given here.
_AWAITABLE = re.compile(r"\bAwaitable\[(\w+)\]")

_HEAD = "# Made of {source} by tools/unasync.py.\n"


def unasync(text: str) -> str:
    """Gives the synchronous form of a module."""
    lines = text.splitlines(keepends=True)
    for token in reversed(list(generate_tokens(io.StringIO(text).readline))):
        for start, end, written in _changes(token):
            (row, column), (_, last) = start, end
            line = lines[row - 1]
            lines[row - 1] = line[:column] + written + line[last:]
    # What spans names, and what quotes code.
    changed = _AWAITABLE.sub(r"\1", _GRPC.sub("grpc", "".join(lines)))
    return re.sub(r"\bgrpc\.sync\b", "grpc", changed)


def _changes(token: TokenInfo) -> Iterator[tuple[tuple[int, int], tuple[int, int], str]]:
    """Gives what of a token is written otherwise: from where, to where, and what."""
    if token.type == NAME and token.string in {"async", "await"}:
        after = token.line[token.end[1] :]
        spaces = len(after) - len(after.lstrip(" "))
        yield token.start, (token.end[0], token.end[1] + spaces), ""
    elif token.type == NAME and token.string in _NAMES:
        yield token.start, token.end, _NAMES[token.string]
    elif token.type in {STRING, COMMENT}:
        parts = token.string.splitlines(keepends=True)
        for number, part in reversed(list(enumerate(parts))):
            column = token.start[1] if number == 0 else 0
            row = token.start[0] + number
            end = (row, column + len(part.rstrip("\n")))
            yield (row, column), end, _in_words(part.rstrip("\n"))


def _in_words(text: str) -> str:
    return _WORDS.sub(lambda match: _NAMES[match[1]], _GONE.sub("", text))


def _formatted(code: str, path: Path) -> str:
    """Gives code as the formatter has it, with no import that nobody uses."""
    name = ["--stdin-filename", str(path)]
    ruff = str(Path(sys.executable).with_name("ruff"))
    for command in (["check", "--select", "F401,I", "--fix", "--quiet"], ["format"]):
        code = subprocess.run(  # noqa: S603 - our own tool
            [ruff, *command, *name, "-"],
            input=code,
            capture_output=True,
            check=True,
            text=True,
            cwd=ROOT,
        ).stdout
    return code


def made() -> Iterator[tuple[Path, str]]:
    """Gives each module that is made, and its code."""
    for pair in PAIRS:
        for source in sorted(pair.source.glob("*.py")):
            if source.name not in pair.by_hand:
                head = _HEAD.format(source=source.relative_to(ROOT).as_posix())
                target = pair.target / source.name
                yield target, _formatted(head + unasync(source.read_text()), target)


def _strangers(known: set[Path]) -> Iterator[Path]:
    """Finds modules whose source is gone."""
    for pair in PAIRS:
        for path in pair.target.glob("*.py"):
            if path not in known and path.name not in pair.by_hand:
                yield path


def main() -> int:
    """Writes or checks; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true")
    action.add_argument("--check", action="store_true")
    write = parser.parse_args().write
    wrong: list[Path] = []
    known: set[Path] = set()
    for path, code in made():
        known.add(path)
        if not path.exists() or path.read_text() != code:
            wrong.append(path)
            if write:
                path.write_text(code)
    for path in _strangers(known):
        wrong.append(path)
        if write:
            path.unlink()
    if wrong and not write:
        names = ", ".join(str(path.relative_to(ROOT)) for path in wrong)
        sys.stderr.write(f"not what they are made of: {names}; run `make sync` and commit\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
