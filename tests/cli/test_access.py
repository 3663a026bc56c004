"""Which gateway a command goes to, and with what right: said before its name, or after it."""

import asyncio
import ipaddress
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner, Result

from inferry.cli.main import app
from inferry.client.config import Settings
from inferry.server.access.secret import SECRET_FILE
from inferry.v1.server_service_pb2 import ListServersRequest, ListServersResponse
from tests.cli.play import SERVERS
from tests.processes import GatewayProcess

UNSET = dict.fromkeys(
    ("INFERRY_ADDRESS", "INFERRY_TOKEN", "INFERRY_TLS", "INFERRY_CA", "INFERRY_CONFIG")
)


class Opened(Exception):  # noqa: N818 - it is none
    """Would have opened a channel."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings


def _refuse_to_open(settings: Settings) -> Any:
    raise Opened(settings)


def run(*arguments: str, **variables: str) -> Result:
    environment: Mapping[str, str | None] = {**UNSET, **variables}
    return CliRunner().invoke(app, arguments, env=environment, obj=_refuse_to_open)


def settings(*arguments: str, **variables: str) -> Settings:
    """Tells what a command would open its channel with."""
    error = run(*arguments, **variables).exception
    assert isinstance(error, Opened)
    return error.settings


@pytest.mark.parametrize("command", [("list",), ("ui",), ("webhooks", "list")], ids=" ".join)
def test_what_stands_after_a_command_goes_before_what_stands_in_front_and_the_environment(
    command: tuple[str, ...],
) -> None:
    variables = {"INFERRY_ADDRESS": "env:1", "INFERRY_TOKEN": "env"}
    front, after = ("--address", "front:1", "--token", "front"), ("--address", "after:1")
    of_environment = settings(*command, **variables)
    assert (of_environment.address, of_environment.token) == ("env:1", "env")
    of_front = settings(*front, *command, **variables)
    assert (of_front.address, of_front.token) == ("front:1", "front")
    of_both = settings(*front, *command, *after, **variables)
    assert (of_both.address, of_both.token) == ("after:1", "front")
    assert settings(*command, *after, "--token", "after", **variables).token == "after"


@pytest.mark.parametrize("wrong", ["localhost", "http://127.0.0.1:8787", "127.0.0.1:x", "::1:1"])
@pytest.mark.parametrize("given", ["front", "after", "environment", "file"])
def test_an_address_that_is_none_is_answered_with_the_right_form_and_not_with_the_token(
    wrong: str, given: str, tmp_path: Path
) -> None:
    file = tmp_path / "inferry.toml"
    file.write_text(f'address = "{wrong}"\n')
    ran = {
        "front": lambda: run("--address", wrong, "list"),
        "after": lambda: run("list", "--address", wrong),
        "environment": lambda: run("list", INFERRY_ADDRESS=wrong),
        "file": lambda: run("list", INFERRY_CONFIG=str(file)),
    }[given]()
    assert ran.exit_code == 2
    assert "HOST:PORT" in ran.stderr
    assert "token" not in ran.stderr


@pytest.mark.parametrize("place", ["front", "after"])
def test_a_data_directory_gives_the_token_for_a_gateway_of_this_machine(
    tmp_path: Path, place: str
) -> None:
    assert run("--data-dir", str(tmp_path), "token").exit_code == 0
    assert (tmp_path / SECRET_FILE).exists()
    flags, command = ("--data-dir", str(tmp_path)), ("list",)
    given = (*flags, *command) if place == "front" else (*command, *flags)
    assert settings(*given).token
    elsewhere = run("--address", "gateway.example:1", *given)
    assert elsewhere.exit_code == 5
    assert "no token" in elsewhere.stderr


def test_tls_is_said_by_an_option_or_a_variable(tmp_path: Path) -> None:
    token = ("--token", "secret")
    assert settings("list", *token).credentials is None
    assert settings("list", *token, "--tls").credentials is not None
    assert settings("--tls", "list", *token).credentials is not None
    assert settings("list", *token, INFERRY_TLS="1").credentials is not None
    assert settings("list", *token, INFERRY_TLS="0").credentials is None
    missing = run("list", *token, "--ca", str(tmp_path / "none.pem"))
    assert missing.exit_code == 2
    assert "cannot read" in missing.stderr


@contextmanager
def encrypted(directory: Path) -> Iterator[tuple[str, Path]]:
    """Serves behind TLS; gives the address, and the file of the authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (directory / "ca.pem").write_bytes(certificate)
    server = grpc.server(ThreadPoolExecutor(1))
    no_servers = grpc.unary_unary_rpc_method_handler(
        lambda _request, _context: ListServersResponse(),
        ListServersRequest.FromString,
        ListServersResponse.SerializeToString,
    )
    server.add_registered_method_handlers(SERVERS.full_name, {"ListServers": no_servers})
    credentials = grpc.ssl_server_credentials([(secret, certificate)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}", directory / "ca.pem"
    finally:
        server.stop(None).wait()


def test_a_command_speaks_tls_with_an_authority_of_its_own(tmp_path: Path) -> None:
    with encrypted(tmp_path) as (address, authority):
        given = ["servers", "--json", "--address", address, "--token", "secret"]
        trusting = CliRunner().invoke(app, [*given, "--ca", str(authority)], env=UNSET)
        assert (trusting.exit_code, trusting.stdout) == (0, '{\n  "servers": []\n}\n')
        # The machine's own roots do not know it, and without TLS nobody understands it.
        for flags in (["--tls"], []):
            assert CliRunner().invoke(app, [*given, *flags], env=UNSET).exit_code == 4


async def test_the_port_of_rest_is_told_from_that_of_grpc(gateway_process: GatewayProcess) -> None:
    rest = gateway_process.rest.removeprefix("http://")
    given = ["servers", "--address", rest, "--token", gateway_process.token]
    ran = await asyncio.to_thread(CliRunner().invoke, app, given, env=UNSET)
    assert ran.exit_code == 4
    assert "HTTP is spoken there, and no gRPC" in ran.stderr
