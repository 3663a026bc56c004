"""What comes with the client. Its time is that of gRPC and protobuf; nothing else may be added."""

import subprocess
import sys

#: 62 ms of gRPC and 60 ms of stubs lie in these; a browser's worth of others would not.
_MODULES = 360
_HEAVY = {"aiohttp", "apsw", "orjson", "pydantic", "rich", "structlog", "typer", "uvloop"}


def test_importing_the_client_brings_nothing_heavy() -> None:
    code = "import inferry.client, sys; print(*sys.modules)"
    listed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    modules = set(listed.stdout.split())
    assert not _HEAVY & modules
    assert not {name for name in modules if name.startswith(("inferry.server", "inferry.bridge"))}
    assert len(modules) < _MODULES
