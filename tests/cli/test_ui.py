"""The command that opens the page: it asks for a code and puts it where only a browser sees it."""

import webbrowser

import pytest

from inferry.v1.access_service_pb2 import CreateCodeRequest, CreateCodeResponse
from tests.cli.play import Play, rpc

ANSWER = CreateCodeResponse(code="a-code", url="http://gateway.example:8787")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    opened: list[str] = []

    def open_(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", open_)
    return opened


def test_the_page_is_opened_with_a_code_behind_the_hash(play: Play, opened: list[str]) -> None:
    play.run("ui")
    play.answer(rpc("CreateCode"), ANSWER, CreateCodeRequest)
    assert play.result().stdout == "http://gateway.example:8787/ui/#code=a-code\n"
    assert opened == ["http://gateway.example:8787/ui/#code=a-code"]


def test_the_address_may_be_another_and_is_only_printed_when_asked(
    play: Play, opened: list[str]
) -> None:
    play.run("ui", "--no-open", "--url", "https://proxy.example/inferry/")
    play.answer(rpc("CreateCode"), ANSWER, CreateCodeRequest)
    assert play.result().stdout == "https://proxy.example/inferry/ui/#code=a-code\n"
    assert opened == []


def test_who_has_no_browser_is_told_to_open_it(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    play.run("ui")
    play.answer(rpc("CreateCode"), ANSWER, CreateCodeRequest)
    result = play.result()
    assert result.exit_code == 0
    assert "within a minute" in result.stderr
