"""The unit, as systemd reads it."""

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from inferry.server.app.gateway import LAST_WORDS_S
from inferry.server.config import Config

UNIT = Path(__file__).parents[2] / "deploy/systemd/inferry.service"
#: What `systemd-analyze security` calls well protected, in tenths.
EXPOSURE = 20

pytestmark = pytest.mark.skipif(
    not shutil.which("systemd-analyze") and not os.environ.get("CI"), reason="no systemd here"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with the command of this environment, so that it is found."""
    text = UNIT.read_text()
    program = Path(sysconfig.get_path("scripts")) / "inferry"
    found = re.sub(
        r"(?<=^ExecStart=)\S+/inferry(?= serve$)", str(program), text, flags=re.MULTILINE
    )
    assert found != text
    path = tmp_path / UNIT.name
    path.write_text(found)
    return path


def analyze(*words: str | Path) -> str:
    told = subprocess.run(
        ["systemd-analyze", "--no-pager", *words], check=False, capture_output=True, text=True
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stderr


def test_systemd_understands_every_line_of_the_unit(unit: Path) -> None:
    assert analyze("verify", "--man=no", unit) == ""


def test_the_unit_gives_the_gateway_no_more_rights_than_it_needs(unit: Path) -> None:
    analyze("security", "--offline=true", f"--threshold={EXPOSURE}", unit)


def test_the_unit_waits_for_a_stop_in_order() -> None:
    (waits_s,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)
    grace_ms = Config.model_fields["shutdown_grace_ms"].default
    assert int(waits_s) > grace_ms / 1_000 + LAST_WORDS_S
