"""What the files of ``deploy/`` set is there to be set."""

import re
import subprocess
from pathlib import Path

from inferry.bridge.config import BridgeConfig
from inferry.client.config import ADDRESS_VARIABLE, FILE_VARIABLE, TOKEN_VARIABLE
from inferry.server.config import Config

ROOT = Path(__file__).parents[2]
_VARIABLE = re.compile(r"\bINFERRY_[A-Z_]+\b")
KNOWN = {
    ADDRESS_VARIABLE,
    FILE_VARIABLE,
    TOKEN_VARIABLE,
    *(f"INFERRY_{name.upper()}" for kind in (Config, BridgeConfig) for name in kind.model_fields),
}


def pages() -> list[Path]:
    """The files of ``deploy/`` and what is written about them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "deploy"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    return [ROOT / name for name in (*listed, "docs/deployment.md", "docs/scaling.md")]


def test_every_variable_in_deploy_is_a_setting() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in pages()
        for name in _VARIABLE.findall(path.read_text())
        if name not in KNOWN
    }
    assert not found


def test_every_setting_that_the_pages_name_is_one() -> None:
    known = {name.removeprefix("INFERRY_").lower() for name in KNOWN}
    units = re.compile(r"`([a-z]+(?:_[a-z]+)*_(?:ms|bytes|url|key))`")
    named = {name for path in pages() for name in units.findall(path.read_text())}
    assert "keep_done_ms" in named
    assert named <= known
