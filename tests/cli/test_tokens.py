from dataclasses import replace
from pathlib import Path
from secrets import token_urlsafe

import pytest
from typer.testing import CliRunner

from inferry.cli.main import app
from inferry.cli.tokens import local_token
from inferry.server.access.keys import SecretKey
from inferry.server.access.secret import read_secret
from inferry.server.access.tokens import Principal, Role, TokenVerifier
from inferry.server.clock import SystemClock
from tests.server.token_rules import TOKEN_RULES


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("JWT_SECRET", "JWT_PUBLIC_KEY", "JWT_ISSUER", "JWT_AUDIENCE", "CONFIG"):
        monkeypatch.delenv(f"INFERRY_{name}", raising=False)
    monkeypatch.setenv("INFERRY_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["token", *arguments])
    assert result.exit_code == 0
    (token,) = result.stdout.splitlines()
    return token


def principal(token: str, secret: bytes) -> Principal:
    return TokenVerifier(SecretKey(secret), SystemClock(), TOKEN_RULES).verify(token)


def test_a_token_holds_for_the_gateway_of_the_data_directory(data_dir: Path) -> None:
    token = printed("--sub", "ada", "--role", "client", "--tenant", "vision", "--ttl", "15m")
    secret = read_secret(data_dir, None)
    assert principal(token, secret) == Principal("ada", "vision", frozenset({Role.CLIENT}))


def test_a_token_is_an_admins_by_default(data_dir: Path) -> None:
    assert principal(printed(), read_secret(data_dir, None)).roles == {Role.ADMIN}


@pytest.mark.parametrize("option", ["--sub", "--tenant"])
def test_a_name_that_is_empty_stands_for_nobody(data_dir: Path, option: str) -> None:
    result = CliRunner().invoke(app, ["token", option, ""])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "must be a text, not empty" in result.stderr


def test_another_data_directory_has_another_secret(data_dir: Path, tmp_path: Path) -> None:
    token = printed("--data-dir", str(tmp_path / "other"))
    assert principal(token, read_secret(tmp_path / "other", None))
    assert not data_dir.exists()


def test_the_secret_of_the_environment_comes_first(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = token_urlsafe(48)
    monkeypatch.setenv("INFERRY_JWT_SECRET", secret)
    assert principal(printed(), secret.encode())
    assert not data_dir.exists()


def test_a_token_has_the_issuer_and_the_audience_that_the_gateway_asks_for(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERRY_JWT_ISSUER", "us")
    monkeypatch.setenv("INFERRY_JWT_AUDIENCE", "inferry")
    keys = SecretKey(read_secret(data_dir, None))
    rules = replace(TOKEN_RULES, issuer="us", audience="inferry")
    strict = TokenVerifier(keys, SystemClock(), rules)
    for token in (printed("--sub", "ada"), local_token("127.0.0.1")):
        assert token is not None
        assert strict.verify(token).roles == {Role.ADMIN}


def test_no_token_is_made_where_only_a_private_key_could(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_secret(data_dir, None)
    monkeypatch.setenv("INFERRY_JWT_PUBLIC_KEY", "key.pem")
    result = CliRunner().invoke(app, ["token"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "INFERRY_JWT_PUBLIC_KEY" in result.stderr
    assert local_token("127.0.0.1") is None


@pytest.mark.parametrize("name", ["ada\nadmin", "\x07"])
@pytest.mark.parametrize("option", ["--sub", "--tenant"])
def test_no_token_is_made_that_no_gateway_takes(option: str, name: str) -> None:
    result = CliRunner().invoke(app, ["token", option, name])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "without control characters" in result.stderr


@pytest.mark.parametrize("secret", ["short", " " * 40])
def test_a_secret_that_can_be_guessed_is_refused(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("INFERRY_JWT_SECRET", secret)
    result = CliRunner().invoke(app, ["token"])
    assert result.exit_code == 2
    assert "INFERRY_JWT_SECRET" in result.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"])
def test_commands_make_their_own_token_for_a_gateway_of_this_machine(
    data_dir: Path, host: str
) -> None:
    secret = read_secret(data_dir, None)
    token = local_token(host)
    assert token is not None
    assert principal(token, secret).roles == {Role.ADMIN}


@pytest.mark.parametrize("host", ["gateway.example.com", "10.0.0.1", "", "0.0.0.0"])
def test_no_token_is_made_for_another_machine(data_dir: Path, host: str) -> None:
    read_secret(data_dir, None)
    assert local_token(host) is None


def test_no_secret_is_made_for_a_token_that_nobody_asked_for(data_dir: Path) -> None:
    assert local_token("127.0.0.1") is None
    assert not data_dir.exists()
    result = CliRunner().invoke(app, ["get", "task_1"], env={"INFERRY_TOKEN": ""})
    assert result.exit_code == 5
    assert "INFERRY_TOKEN" in result.stderr
