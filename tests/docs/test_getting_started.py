"""docs/getting-started.md, typed as it stands: its commands print what it shows."""

import os
import re
import sys
from pathlib import Path

import pytest

from tests.docs.terminals import Terminals, Typed, read_console
from tests.ports import own_port

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "getting-started.md").read_text()


async def test_its_commands_print_what_it_shows(tmp_path: Path) -> None:
    ports = {usual: str(own_port()) for usual in ("8787", "50051", "8080")}

    def moved(text: str) -> str:
        return re.sub(r"\b(8787|50051|8080)\b", lambda found: ports[found[0]], text)

    ((name, code),) = re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / name).write_text(code.replace("0.5", "0.05"))
    bin_dir = Path(sys.executable).parent
    settings = {
        "HOME": str(tmp_path),
        "PATH": f"{bin_dir}:{os.environ['PATH']}",
        "INFERRY_PORT": ports["8787"],
        "INFERRY_GRPC_PORT": ports["50051"],
        "INFERRY_ADDRESS": f"127.0.0.1:{ports['50051']}",
    }
    terminals = Terminals(tmp_path, settings)
    try:
        for typed in read_console(PAGE):
            await terminals.type(Typed(moved(typed.command), [*map(moved, typed.shown)]))
    finally:
        await terminals.close()


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", PAGE))
def test_what_it_links_to_is_there(link: str) -> None:
    assert (DOCS / link).exists()
