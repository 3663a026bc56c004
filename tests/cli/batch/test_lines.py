import os
from io import FileIO
from pathlib import Path

import pytest

from inferry.cli.batch.lines import Line, lines
from inferry.wire.limits import BATCH_BYTES


def read(path: Path) -> list[Line | None]:
    with FileIO(str(path)) as source:
        return list(lines(source))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", []),
        (b"\n \n\r\n", []),
        (b'{"a":1}', [Line(1, b'{"a":1}')]),
        (b'{"a":1}\n', [Line(1, b'{"a":1}')]),
        (b'\xef\xbb\xbf{"a":1}\r\n\n {"b":2}\n', [Line(1, b'{"a":1}'), Line(3, b'{"b":2}')]),
        (b"a\xc2\x85b\n", [Line(1, b"a\xc2\x85b")]),
    ],
)
def test_lines_are_numbered_and_blank_ones_are_passed_over(
    tmp_path: Path, text: bytes, expected: list[Line]
) -> None:
    file = tmp_path / "lines"
    file.write_bytes(text)
    assert read(file) == expected


def test_a_line_that_is_longer_than_a_batch_is_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    long = b"x" * BATCH_BYTES
    file.write_bytes(b"\n".join([b"a", long, long + b"x", b"b", long * 2]))
    assert read(file) == [
        Line(1, b"a"),
        Line(2, long),
        Line(3, None),
        Line(4, b"b"),
        Line(5, None),
    ]


def test_lines_that_came_through_a_pipe_do_not_wait_for_those_that_have_not() -> None:
    ours, theirs = os.pipe()
    try:
        with FileIO(ours) as source:
            given = lines(source)
            os.write(theirs, b"a\nb\nhal")
            assert [next(given), next(given)] == [Line(1, b"a"), Line(2, b"b")]
            assert next(given) is None
            assert next(given) is None
            os.write(theirs, b"f\n")
            assert next(given) == Line(3, b"half")
            assert next(given) is None
            os.close(theirs)
            theirs = -1
            assert list(given) == []
    finally:
        if theirs >= 0:
            os.close(theirs)
