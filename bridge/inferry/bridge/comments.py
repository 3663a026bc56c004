"""The comments of the protos, which descriptors do not carry: the words of the documentation.

Where the ``.proto`` files are not beside the generated code, there are no words.
"""

import re
from collections.abc import Iterator
from importlib import resources

import inferry.v1

_COMMENT = re.compile(r"\s*//\s?(.*)")
_BLOCK = re.compile(r"\s*(?:service|message|enum)\s+(\w+)\s*\{(\s*\})?")
_RPC = re.compile(r"\s*rpc\s+(\w+)\s*\(.*?([;{])\s*$")
_FIELD = re.compile(r"\s*(?:[\w.<>]+,?\s+)*(\w+)\s*=\s*\d+")


def read_comments() -> dict[str, str]:
    """Reads what stands above each message, field, service and RPC, by full name."""
    comments: dict[str, str] = {}
    for file in resources.files(inferry.v1).iterdir():
        if file.name.endswith(".proto"):
            comments.update(_comments(file.read_text(encoding="utf-8")))
    return comments


def _comments(text: str) -> Iterator[tuple[str, str]]:
    scope = [inferry.v1.__name__]
    said: list[str] = []
    for line in text.splitlines():
        comment = _COMMENT.fullmatch(line)
        if comment:
            said.append(comment[1])
            continue
        block, rpc, field = _BLOCK.match(line), _RPC.match(line), _FIELD.match(line)
        named = block or rpc or field
        if named and said:
            yield ".".join(part for part in (*scope, named[1]) if part), " ".join(said)
        if (block and not block[2]) or (rpc and rpc[2] == "{"):
            scope.append(named[1] if named else "")
        elif line.count("}") > line.count("{"):
            scope.pop()
        elif line.count("{") > line.count("}"):
            scope.append("")
        said = []
