from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inferry.backend.grpc.channel import _OPTIONS as WORKER_OPTIONS
from inferry.client import Client, InvalidRequest, Unavailable
from inferry.client.config import CHANNEL_OPTIONS, Settings, read_settings
from inferry.server.config import Config
from inferry.server.rpc.listener import _options as channel_options
from inferry.v1.task_service_pb2_grpc import add_TaskServiceServicer_to_server
from tests.client.scripted import Scripted


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADDRESS", "TOKEN", "CONFIG"):
        monkeypatch.delenv(f"INFERRY_{name}", raising=False)


def settings(address: str | None = None, token: str | None = None) -> Settings:
    return read_settings(address, token, False, 30.0, 5)


def test_arguments_win_over_environment_over_file_over_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (settings().address, settings().token) == ("127.0.0.1:50051", None)
    file = tmp_path / "inferry.toml"
    # A gateway's settings stand beside those of the client.
    file.write_text("address = 'file.example:1'\ntoken = 'of-file'\nport = 4711\n")
    monkeypatch.setenv("INFERRY_CONFIG", str(file))
    assert (settings().address, settings().token) == ("file.example:1", "of-file")
    monkeypatch.setenv("INFERRY_ADDRESS", "env.example:1")
    assert (settings().address, settings().token) == ("env.example:1", "of-file")
    monkeypatch.setenv("INFERRY_TOKEN", "of-env")
    assert (settings().address, settings().token) == ("env.example:1", "of-env")
    given = settings("arg.example:1", "of-arg")
    assert (given.address, given.token) == ("arg.example:1", "of-arg")


def test_a_file_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERRY_CONFIG", "/nowhere.toml")
    with pytest.raises(InvalidRequest, match=r"settings file /nowhere\.toml: .*No such file"):
        Client()


@pytest.mark.parametrize("address", ["localhost", "http://localhost:1", "a:0", "a:70000", "::1:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequest, match="right is HOST:PORT, such as"):
        Client(address)


@pytest.mark.parametrize("written", ["7", "'tök'", '"a\\nb"'])
def test_what_is_no_token_is_refused_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    file = tmp_path / "inferry.toml"
    file.write_text(f"token = {written}\n")
    monkeypatch.setenv("INFERRY_CONFIG", str(file))
    with pytest.raises(InvalidRequest, match=r"^token: it holds what no token does$"):
        Client()


def certificate() -> tuple[bytes, bytes]:
    """Makes a key and a certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, made.public_bytes(pem)


def test_a_gateway_behind_a_certificate_is_called_with_tls(tmp_path: Path) -> None:
    private, public = certificate()
    gateway = Scripted()  # type: ignore[abstract]
    server = grpc.server(ThreadPoolExecutor(4))
    add_TaskServiceServicer_to_server(gateway, server)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(private, public)]))
    server.start()
    authorities = tmp_path / "ca.pem"
    authorities.write_bytes(public)
    try:
        with Client(f"localhost:{port}", "secret", tls=authorities) as client:
            assert client.submit("hold").id == "task_1"
        with (
            Client(f"localhost:{port}", "secret", tls=True, retries=0) as client,
            pytest.raises(Unavailable),
        ):
            client.submit("hold")
    finally:
        server.stop(0).wait()
    with pytest.raises(InvalidRequest, match=r"tls: cannot read /nowhere\.pem"):
        Client(tls="/nowhere.pem")


@pytest.mark.parametrize("text", ["a = " + "[" * 3_000, f"a = {'9' * 5_000}", "a = "])
def test_a_file_that_nobody_can_read_is_an_invalid_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    file = tmp_path / "inferry.toml"
    file.write_text(text)
    monkeypatch.setenv("INFERRY_CONFIG", str(file))
    with pytest.raises(InvalidRequest, match=f"cannot read the settings file {file}"):
        settings()


@pytest.mark.parametrize("options", [CHANNEL_OPTIONS, WORKER_OPTIONS], ids=["client", "worker"])
def test_a_dead_connection_is_noticed_by_no_more_pings_than_a_gateway_allows(
    options: tuple[tuple[str, int], ...], tmp_path: Path
) -> None:
    given, allowed = dict(options), dict(channel_options(Config(data_dir=tmp_path)))
    assert given["grpc.keepalive_time_ms"] > allowed["grpc.http2.min_ping_interval_without_data_ms"]
    assert given["grpc.keepalive_timeout_ms"] > 0
    if given.get("grpc.keepalive_permit_without_calls"):
        assert allowed["grpc.keepalive_permit_without_calls"]
