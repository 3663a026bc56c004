import io
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from inferry.cli.arguments import (
    duration_ms,
    host_port,
    http_url,
    labels,
    payload,
    span_ms,
    span_or_0_ms,
)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1ms", 1),
        ("0.2ms", 1),
        ("30s", 30_000),
        ("1.5m", 90_000),
        ("24h", 86_400_000),
        (" 7d ", 604_800_000),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, milliseconds: int) -> None:
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "30", "0s", "-1s", "1w", "1 s", "soon", "1s1s"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected a duration"):
        duration_ms(text)


@pytest.mark.parametrize("text", ["0", "0s", " 0ms "])
def test_some_durations_may_be_none(text: str) -> None:
    assert span_or_0_ms(text) == 0
    with pytest.raises(typer.BadParameter):
        span_ms(text)


def test_a_request_carries_24_days_at_most() -> None:
    assert span_or_0_ms("24d") == span_ms("24d") == 24 * 86_400_000
    for parser in (span_ms, span_or_0_ms):
        with pytest.raises(typer.BadParameter, match="24d at most"):
            parser("25d")


@pytest.mark.parametrize(
    "text", ["127.0.0.1:50051", "localhost:1", "gw.example.com:65535", "[::1]:50051", "a_b:2"]
)
def test_where_grpc_is_has_a_host_and_a_port(text: str) -> None:
    assert host_port(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "localhost", ":50051", "localhost:", "localhost:0", "localhost:65536", "::1:50051"),
        *("http://localhost:50051", "localhost:x", "a b:1", "user@host:1", "[::1]", "h\udcff:1"),
    ],
)
def test_anything_else_is_not_where_grpc_is(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"expected HOST:PORT, such as 127\.0\.0\.1:50051"):
        host_port(text)


def test_a_slash_at_the_end_of_a_url_is_left_out() -> None:
    assert http_url("http://[::1]:8787/") == "http://[::1]:8787"
    assert http_url("https://example.com/inferry/") == "https://example.com/inferry"


@pytest.mark.parametrize(
    "text",
    [
        *("", "foo", "localhost:8787", "ftp://localhost", "http://", "http://:8787"),
        *(
            "http://h:99999",
            "http://h:0",
            "http://h:x",
            "http://h?a=1",
            "http://[::1",
            "http://ada:secret@h",
            "http://\udcff",
        ),
    ],
)
def test_anything_else_is_not_where_rest_is(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected a URL such as http://127"):
        http_url(text)


def test_a_label_is_split_at_its_first_equals_sign() -> None:
    assert labels(["team=vision", "query=a=b", "empty="]) == {
        "team": "vision",
        "query": "a=b",
        "empty": "",
    }


def test_a_label_without_a_value_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="key=value"):
        labels(["team"])


def test_a_payload_comes_from_the_command_line_a_file_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '{"test": "data", "n": [1, 2.5, null, true]}'
    file = tmp_path / "payload.json"
    file.write_text(text)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
    for given in (text, f"@{file}", "-"):
        assert payload(given) == text.encode()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "no JSON"),
        ('{"a": NaN}', "no JSON"),
        ("[1]", "JSON object"),
        ('{"a": 1, "a": 2}', "twice"),
        ("@no/such/file", "cannot read no/such/file"),
        ('{"a":' * 129 + "1" + "}" * 129, "nested deeper than 128 levels"),
    ],
)
def test_a_payload_that_cannot_be_sent_is_refused(text: str, problem: str) -> None:
    with pytest.raises(typer.BadParameter, match=problem):
        payload(text)
