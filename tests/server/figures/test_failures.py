"""Failures that differ in what does not matter are the same failure."""

import pytest

from inferry.server.figures.failures import MESSAGE_CHARS, fingerprint_of, normal_of


@pytest.mark.parametrize(
    ("message", "normal"),
    [
        ("timed out after 300 s", "timed out after <n> s"),
        ("12.5 of 16,000 MiB at 10:31:07", "<n> of <n> MiB at <n>"),
        ("no such file: /var/lib/models/llama-3.bin", "no such file: <path>"),
        (r"cannot open C:\models\a.bin", "cannot open <path>"),
        ("GET https://models.example/a?b=1 gave 503", "GET <url> gave <n>"),
        ("unknown key 'colour' in \"options\"", "unknown key <text> in <text>"),
        ("task_01HK153X00PYXZ6CXT0BGWJ8MG was lost", "<id> was lost"),
        ("job 7d444840-9dc0-11d1-b245-5ffdce74fad2", "job <id>"),
        ("at 0x7f3a91 in deadbeef1234", "at <hex> in <hex>"),
        ("two\n  lines\tand  spaces", "two lines and spaces"),
        ("CUDA out of memory", "CUDA out of memory"),
        ("", ""),
    ],
)
def test_what_differs_from_one_to_the_next_is_a_placeholder(message: str, normal: str) -> None:
    assert normal_of(message) == normal


def test_a_long_message_is_cut() -> None:
    assert len(normal_of("x y " * 10_000)) <= MESSAGE_CHARS


def test_a_fingerprint_tells_type_code_and_message_apart_and_nothing_else() -> None:
    same = fingerprint_of("echo", "BROKEN", "line 7"), fingerprint_of("echo", "BROKEN", "line 8")
    others = {
        fingerprint_of("draw", "BROKEN", "line 7"),
        fingerprint_of("echo", "FULL", "line 7"),
        fingerprint_of("echo", "BROKEN", "column 7"),
    }
    assert same[0] == same[1]
    assert len(others | {*same}) == 4
    assert len(same[0]) == 16
