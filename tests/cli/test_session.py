"""Where commands look for the gateway, and with what token."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from inferry.cli.main import app
from tests.cli.scripted import Gateway


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "inferry.toml"


def written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def servers(file: Path) -> Result:
    """Asks for the servers of the gateway that the file names, and nothing else does."""
    alone: Mapping[str, str | None] = {
        "INFERRY_CONFIG": str(file),
        "INFERRY_ADDRESS": None,
        "INFERRY_TOKEN": None,
    }
    return CliRunner().invoke(app, ["servers", "--json"], env=alone)


async def test_address_and_token_come_from_the_settings_file_too(
    scripted: Gateway, file: Path
) -> None:
    written(file, f'address = "127.0.0.1:{scripted.port}"\ntoken = "of-file"\n')
    ran = await asyncio.to_thread(servers, file)
    assert (ran.exit_code, ran.stdout) == (0, '{\n  "servers": []\n}\n')
    assert scripted.tokens == ["Bearer of-file"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('address = "nowhere"', "right is HOST:PORT"),
        ("token = 7", "token: it holds what no token does"),
        ("=", "cannot read the settings file"),
    ],
)
def test_a_settings_file_that_cannot_be_used_is_wrong_usage(
    file: Path, text: str, why: str
) -> None:
    ran = servers(written(file, text))
    assert ran.exit_code == 2
    assert why in " ".join(ran.stderr.replace("│", "").split())
