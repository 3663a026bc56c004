"""TLS to PostgreSQL is what the URL says: an attacker in between is held off by ``verify-full``."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inferry.server.store import StoreError
from tests.server.store.opening import opened_postgres
from tests.server.store.samples import do, waiting

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


def write_certificate(folder: Path, host: str) -> Path:
    """Makes a certificate that signs itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path = folder / f"{host}.pem"
    path.write_bytes(made.public_bytes(pem) + private)
    return path


@asynccontextmanager
async def tls_before(url: str, certificate: Path) -> AsyncIterator[int]:
    """Puts TLS before a server that has none; gives the port."""
    parts = urlsplit(url)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            assert await reader.readexactly(8) == _SSL_REQUEST
            writer.write(b"S")
            await writer.start_tls(context)
            back, to = await asyncio.open_connection(parts.hostname, parts.port)
            await asyncio.gather(_copy(reader, to), _copy(back, writer))
        serving.discard(task)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        async with server:
            yield server.sockets[0].getsockname()[1]
    finally:
        for task in serving:
            task.cancel()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


def url_of(url: str, host: str, port: int, query: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}@{host}:{port}", query=query).geturl()


async def test_a_database_that_proves_who_it_is_is_used(postgres_url: str, tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, "localhost")
    async with tls_before(postgres_url, certificate) as port:
        query = f"sslmode=verify-full&sslrootcert={certificate}"
        async with opened_postgres(url_of(postgres_url, "localhost", port, query)) as store:
            await do(store, waiting("task_1"))
            assert await store.task("task_1") is not None


@pytest.mark.parametrize(("named", "trusted"), [("elsewhere", "elsewhere"), ("localhost", "other")])
async def test_one_of_another_name_or_unknown_is_not(
    postgres_url: str, tmp_path: Path, named: str, trusted: str
) -> None:
    certificate = write_certificate(tmp_path, named)
    (tmp_path / "trusted").mkdir()
    root = certificate if trusted == named else write_certificate(tmp_path / "trusted", trusted)
    async with tls_before(postgres_url, certificate) as port:
        query = f"sslmode=verify-full&sslrootcert={root}"
        with pytest.raises(StoreError, match=r"cannot open .*certificate verify failed"):
            async with opened_postgres(url_of(postgres_url, "localhost", port, query)):
                pass


async def test_a_database_without_tls_is_refused_where_tls_is_required(postgres_url: str) -> None:
    with pytest.raises(StoreError, match=r"rejected SSL upgrade"):
        async with opened_postgres(f"{postgres_url}?sslmode=require"):
            pass
