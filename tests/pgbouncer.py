"""A PgBouncer that pools transactions, between a store and its database."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
_SETTINGS = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
server_reset_query =
"""
_START_S = 10.0


@contextmanager
def pgbouncer(url: str, sessions: int) -> Iterator[str]:
    """Runs one with so many sessions at a server; gives the URL of the same database there."""
    assert PROGRAM is not None
    parts = urlsplit(url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="inferry-pgbouncer-") as folder:
        settings = Path(folder) / "pgbouncer.ini"
        to = {"host": parts.hostname, "port": parts.port, "user": parts.username}
        settings.write_text(_SETTINGS.format(**to, listen=port, sessions=sessions))
        Path(folder).chmod(0o755)
        # It refuses to run as root.
        user = "nobody" if os.geteuid() == 0 else None
        process = subprocess.Popen((PROGRAM, "-q", str(settings)), user=user)
        try:
            _until_it_listens(process, port)
            yield parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
        finally:
            process.terminate()
            process.wait(_START_S)


def _until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    ends_s = time.monotonic() + _START_S
    while True:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > ends_s or process.poll() is not None:
            raise TimeoutError("PgBouncer does not listen")
        time.sleep(0.02)
