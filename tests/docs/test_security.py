"""SECURITY.md: where the gateway calls is as its table says, and what it names is there."""

import re

import pytest

from inferry.bridge.config import BridgeConfig
from inferry.server.config import Config
from inferry.server.outbound.addresses import address_allowed
from tests.docs.pages import ROOT, section

PAGE = ROOT / "SECURITY.md"
ADDRESSES = {
    kind: re.findall(r"`([\da-f.:]+)`", row)
    for kind, row in re.findall(
        r"^\| (private|never): (.*?) \|", section(PAGE, "Where it calls"), re.MULTILINE
    )
}


@pytest.mark.parametrize("address", ADDRESSES["private"])
def test_a_private_address_is_called_for_an_admin_alone(address: str) -> None:
    assert address_allowed(address, private_allowed=True)
    assert not address_allowed(address, private_allowed=False)


@pytest.mark.parametrize("address", ADDRESSES["never"])
def test_another_is_never_called(address: str) -> None:
    assert not address_allowed(address, private_allowed=True)


def test_the_settings_that_it_names_are_there() -> None:
    settings = {*Config.model_fields, *BridgeConfig.model_fields}
    text = PAGE.read_text()
    named = {*re.findall(r"`([a-z]+(?:_[a-z]+)+)(?: = [^`]*)?`", text)}
    named |= {name.lower() for name in re.findall(r"\bINFERRY_([A-Z_]+)", text)}
    assert named
    assert named <= settings
