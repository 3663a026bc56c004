import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from inferry.server.config import Config


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Config.model_fields:
        monkeypatch.delenv(f"INFERRY_{name.upper()}", raising=False)


def test_the_defaults_are_the_numbers_of_the_design() -> None:
    config = Config()
    assert (config.host, config.port, config.grpc_port) == ("127.0.0.1", 8787, 50051)
    assert (config.sync_timeout_ms, config.async_timeout_ms) == (30_000, 300_000)
    assert (config.grace_ms, config.queue_timeout_ms) == (2_000, 300_000)
    assert (config.total_timeout_ms, config.max_attempts) == (86_400_000, 3)
    assert (config.probe_interval_ms, config.probe_timeout_ms) == (10_000, 5_000)
    assert (config.lease_ms, config.breaker_failures) == (15_000, 3)
    assert (config.breaker_percent, config.breaker_calls) == (50, 5)
    assert (config.breaker_open_ms, config.breaker_longest_ms) == (5_000, 60_000)
    assert config.breaker_window_ms == 60_000
    assert (config.queue_limit, config.queue_limit_per_tenant) == (10_000, 1_000)
    assert (config.keep_done_ms, config.keep_failed_ms) == (86_400_000, 7 * 86_400_000)
    assert config.tombstone_ms == 86_400_000
    assert (config.request_limit_bytes, config.result_limit_bytes) == (
        2**20,
        3 * 2**20 - 96 * 2**10,
    )
    assert (config.message_limit_bytes, config.json_depth_limit) == (2**22, 128)


def test_the_environment_sets_what_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERRY_PORT", "9000")
    monkeypatch.setenv("INFERRY_HOST", "127.0.0.2")
    config = Config(host="127.0.0.3")
    assert (config.port, config.host) == (9000, "127.0.0.3")


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERRY_PUBLIC_URL", "")
    assert Config().public_url is None


def test_data_lives_where_the_user_keeps_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Config().data_dir == tmp_path / "inferry"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Config().data_dir == tmp_path / ".local" / "share" / "inferry"
    assert Config(data_dir=Path("~/elsewhere")).data_dir == tmp_path / "elsewhere"


def test_it_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().port = 1  # type: ignore[misc]  # that is the point


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValidationError, match="prot"):
        Config.model_validate({"prot": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 65_536),
        ("port", "soon"),
        ("grace_ms", -1),
        ("max_attempts", 0),
        ("sync_timeout_ms", 86_400_001),
        ("log_level", "loud"),
        ("public_url", "gateway.example.com"),
        ("public_url", "https://gateway.example.com/?a=1"),
        ("public_url", "http://\0"),
        ("public_url", "http://gateway.example.com/a b"),
        ("public_url", "https://user@gateway.example.com"),
    ],
)
def test_values_out_of_bounds_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Config(**{name: value})
    assert [problem["loc"] for problem in caught.value.errors()] == [(name,)]


def test_a_public_url_loses_its_last_slash() -> None:
    assert Config(public_url="https://a.example/api/").public_url == "https://a.example/api"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0"])
def test_listening_everywhere_needs_a_url_to_call_back_to(host: str) -> None:
    with pytest.raises(ValidationError, match="INFERRY_PUBLIC_URL"):
        Config(host=host)
    assert Config(host=host, public_url="http://gateway.example.com:8787").host == host


def test_a_wait_for_a_row_has_to_end_before_its_statement() -> None:
    given: dict[str, Any] = {"store_statement_timeout_ms": 3_000}
    for lock_ms in (3_000, 5_000):
        right = f"store_lock_timeout_ms is {lock_ms}, and a statement may take 3000: set .* to less"
        with pytest.raises(ValidationError, match=right):
            Config(**given, store_lock_timeout_ms=lock_ms)
    with pytest.raises(ValidationError, match="such as half of it"):
        Config(**given)
    assert Config(**given, store_lock_timeout_ms=2_999).store_lock_timeout_ms == 2_999


def test_the_secret_is_never_shown() -> None:
    config = Config(jwt_secret=SecretStr("s3cret" * 8))
    assert "s3cret" not in f"{config!r} {config}"


def test_levels_and_formats_may_be_written_in_capitals() -> None:
    given: dict[str, Any] = {"log_level": "DEBUG", "log_format": "JSON"}
    config = Config(**given)
    assert (config.log_level, config.log_format) == ("debug", "json")


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in Config.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_every_setting_is_read_somewhere() -> None:
    """What nobody reads would be a promise that nobody keeps."""
    root = Path(__file__).parents[2]
    folders = (root / "server" / "inferry" / "server", root / "client" / "inferry" / "cli")
    code = "\n".join(file.read_text() for folder in folders for file in folder.rglob("*.py"))
    read = set(re.findall(r"config\.([a-z_]+)\b(?!\()", code))
    assert not Config.model_fields.keys() - read


@pytest.mark.parametrize(
    "store",
    [
        "sqlite:tasks.db",
        "sqlite:/var/lib/inferry/tasks.db",
        "postgresql://inferry@db/inferry",
        "postgres://inferry:s3cret@db:6432/inferry?sslmode=verify-full&sslrootcert=/ca.pem",
        "postgresql://one:5432,two:5433/inferry?target_session_attrs=primary",
    ],
)
def test_a_store_is_a_file_or_a_database(store: str) -> None:
    config = Config(store=SecretStr(store))
    assert config.store is not None
    assert config.store.get_secret_value() == store
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize(
    "store",
    [
        "",
        "sqlite:",
        "tasks.db",
        "mysql://inferry:s3cret@db/inferry",
        "postgresql://inferry:s3cret@db",
    ],
)
def test_another_store_is_refused_and_its_password_told_to_nobody(store: str) -> None:
    with pytest.raises(ValidationError, match=r"expected sqlite:PATH or postgresql://") as refused:
        Config(store=SecretStr(store))
    assert "s3cret" not in str(refused.value)
