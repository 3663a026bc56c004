import json
from pathlib import Path

import pytest
from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from inferry.bridge.config import BridgeConfig
from inferry.cli.settings import SettingsError, load_settings, nearest_variables
from inferry.server.config import Config
from tests.processes import start


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Config.model_fields.keys() | BridgeConfig.model_fields.keys() | {"config"}:
        monkeypatch.delenv(f"INFERRY_{name.upper()}", raising=False)


def written(directory: Path, text: str) -> Path:
    file = directory / "inferry.toml"
    file.write_text(text)
    return file


def test_a_table_in_the_environment_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERRY_TENANT_WEIGHTS", '{"acme": 3}')
    assert load_settings(Config, None, {}).tenant_weights == {"acme": 3}
    monkeypatch.setenv("INFERRY_TENANT_WEIGHTS", "acme=3")
    with pytest.raises(SettingsError, match=r'^INFERRY_TENANT_WEIGHTS: .* JSON .*\{"acme":3\}$'):
        load_settings(Config, None, {})


def test_flags_win_over_environment_over_file_over_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, "host = '127.0.0.9'\nport = 1\ngrpc_port = 1\nmax_attempts = 7\n")
    monkeypatch.setenv("INFERRY_PORT", "2")
    monkeypatch.setenv("INFERRY_GRPC_PORT", "2")
    config = load_settings(Config, file, {"grpc_port": 3, "host": None})
    assert (config.grpc_port, config.port, config.max_attempts) == (3, 2, 7)
    assert (config.host, config.queue_limit) == ("127.0.0.9", 10_000)


def test_the_file_can_be_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERRY_CONFIG", str(written(tmp_path, "port = 4711")))
    assert load_settings(Config, None, {}).port == 4711


def test_one_file_holds_the_settings_of_server_and_bridge(tmp_path: Path) -> None:
    file = written(tmp_path, "port = 4711\ncors_origins = ['https://a.example']\ngrace_ms = 5\n")
    assert load_settings(Config, file, {}).grace_ms == 5
    bridge = load_settings(BridgeConfig, file, {})
    assert (bridge.port, bridge.cors_origins) == (4711, ("https://a.example",))


def test_what_clients_read_may_stand_in_the_file_of_a_gateway(tmp_path: Path) -> None:
    file = written(tmp_path, "address = 'gateway.example:50051'\ntoken = 'mine'\nport = 4711\n")
    assert load_settings(BridgeConfig, file, {}).port == 4711


def test_a_file_may_begin_with_the_mark_of_its_encoding(tmp_path: Path) -> None:
    file = written(tmp_path, "\ufeffport = 4711\n")
    assert load_settings(Config, file, {}).port == 4711


def test_an_unknown_name_in_the_file_is_refused_with_the_nearest_right_one(tmp_path: Path) -> None:
    file = written(tmp_path, "max_attemps = 3")
    with pytest.raises(SettingsError, match=r"max_attemps; the nearest is max_attempts"):
        load_settings(Config, file, {})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"port = {'9' * 5_000}", "is no TOML: Exceeds the limit"),
        (f"a = {'[' * 3_000}{']' * 3_000}", "nests too deeply"),
        (f"a = {'{a=' * 3_000}", "nests too deeply"),
        ("port = 1\nport = 2", "is no TOML: Cannot overwrite a value"),
    ],
)
def test_a_file_that_nobody_can_read_is_refused_in_a_sentence(
    tmp_path: Path, text: str, why: str
) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SettingsError, match=f"^{file} {why}"):
        load_settings(Config, file, {})


def test_a_variable_that_nests_too_deeply_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INFERRY_TENANT_WEIGHTS", "[" * 20_000)
    with pytest.raises(SettingsError, match=r"^a variable INFERRY_… holds JSON that nests too"):
        load_settings(Config, None, {})


def test_the_line_that_is_blamed_is_the_one_that_an_editor_shows(tmp_path: Path) -> None:
    file = written(tmp_path, "# \u2028 \x85 \n\nmax_attemps = 3")
    with pytest.raises(SettingsError, match="line 3: no setting is called max_attemps"):
        load_settings(Config, file, {})


async def test_what_keeps_a_gateway_from_starting_moves_no_cursor(tmp_path: Path) -> None:
    file = written(tmp_path, '"\\u001b[31mport" = 1\nprot = 2')
    log = tmp_path / "gateway.log"
    with pytest.raises(AssertionError):
        await start(log, "serve", "--config", file)
    told = log.read_text().splitlines()
    assert [r"\u001b[31mport" in told[0], "called prot" in told[1], len(told)] == [True, True, 2]


def test_an_error_names_what_says_the_setting_and_what_came(tmp_path: Path) -> None:
    file = written(tmp_path, "[tenant_weights]\nport = 2\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(Config, file, {"port": 99_999, "host": None})
    assert str(caught.value) == "--port: expected less than or equal to 65535, got 99999"


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("port", "abc", "integer"),
        ("lease_ms", "1.5x", "integer"),
        ("reflection", "no way", "boolean"),
    ],
)
def test_what_is_no_value_of_a_setting_is_told_once(name: str, given: str, wanted: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(Config, None, {name: given})
    text = str(caught.value).partition(": ")[2]
    assert text == f"expected a valid {wanted}, got '{given}'"


@pytest.mark.parametrize(
    "written_as", ["tenant_weights = 3", "[tenant_weights]\nacme = 0", "'tenant_weights'.acme = 0"]
)
def test_a_line_of_the_file_is_found_however_the_setting_is_written(
    tmp_path: Path, written_as: str
) -> None:
    file = written(tmp_path, f"port = 1\n\n{written_as}")
    with pytest.raises(SettingsError, match=rf"^tenant_weights in {file}, line 3: "):
        load_settings(Config, file, {})


def test_a_list_in_the_environment_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERRY_WEBHOOK_NETWORKS", "10.0.0.0/8")
    with pytest.raises(SettingsError, match=r'NETWORKS: expected a JSON array.*\["10.0.0.0/8"\]$'):
        load_settings(Config, None, {})


@pytest.mark.parametrize("name", ["data_dir", "jwt_public_key", "store"])
@pytest.mark.parametrize(
    ("path", "why"),
    [("~nobody-here/x", "there is no home ~nobody-here here"), ("a\udcff", "a path in UTF-8")],
)
def test_a_path_that_can_be_none_is_a_wrong_setting(name: str, path: str, why: str) -> None:
    said = f"sqlite:{path}" if name == "store" else path
    with pytest.raises(SettingsError, match=rf"^--{name.replace('_', '-')}: .*{why}"):
        load_settings(Config, None, {name: said})


def test_a_user_without_a_home_is_told_to_name_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    # As in a container whose user is a number that no file of it knows.
    monkeypatch.setattr("os.getuid", lambda: 2**30 + 7)
    with pytest.raises(SettingsError, match=r"no home: .* with --data-dir or INFERRY_DATA_DIR$"):
        load_settings(Config, None, {"data_dir": None})


def test_every_unknown_name_in_the_file_is_told_with_its_line(tmp_path: Path) -> None:
    file = written(tmp_path, "prot = 1\nhost = 'localhost'\nlog-level = 'debug'\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(Config, file, {})
    assert str(caught.value).splitlines() == [
        f"{file}, line 1: no setting is called prot; the nearest is port",
        f"{file}, line 3: no setting is called log-level; the nearest is log_level",
    ]


def test_a_variable_that_is_no_setting_is_found_with_its_nearest_name(
    linked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in nearest_variables():
        monkeypatch.delenv(name)
    for known in ("PORT", "TOKEN", "ADDRESS", "CONFIG", "WEBHOOK_SECRET", "CORS_ORIGINS"):
        monkeypatch.setenv(f"INFERRY_{known}", "1")
    monkeypatch.setenv("inferry_log_level", "info")
    assert nearest_variables() == {}
    monkeypatch.setenv("INFERRY_PROT", "1")
    monkeypatch.setenv("Inferry_Log_Levle", "debug")
    assert nearest_variables() == {
        "INFERRY_PROT": "INFERRY_PORT",
        "Inferry_Log_Levle": "INFERRY_LOG_LEVEL",
    }


def test_an_error_does_not_offer_flags_that_the_command_has_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INFERRY_MAX_ATTEMPTS", "0")
    monkeypatch.setenv("INFERRY_GRACE_MS", "soon")
    with pytest.raises(SettingsError) as caught:
        load_settings(Config, None, {"port": None})
    assert len(str(caught.value).splitlines()) == 2
    assert "--" not in str(caught.value)


def test_an_error_about_the_secret_does_not_show_it(tmp_path: Path) -> None:
    file = written(tmp_path, "jwt_secret = [12345678901234567890]")
    with pytest.raises(SettingsError, match=r"^jwt_secret in .*, line 1: ") as caught:
        load_settings(Config, file, {})
    assert "1234567890" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"), [("port = ", "is no TOML"), ("port = '\udcff'", "cannot read")]
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "inferry.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SettingsError, match=rf"{problem}.*inferry\.toml|inferry\.toml {problem}"):
        load_settings(Config, file, {})


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read the settings file"):
        load_settings(Config, tmp_path / "no.toml", {})


#: What Kubernetes tells a pod of the services ``inferry`` and ``inferry-grpc``.
LINKS = {
    "INFERRY_SERVICE_HOST": "10.0.0.1",
    "INFERRY_SERVICE_PORT": "8787",
    "INFERRY_SERVICE_PORT_HTTP": "8787",
    "INFERRY_PORT": "tcp://10.0.0.1:8787",
    "INFERRY_PORT_8787_TCP": "tcp://10.0.0.1:8787",
    "INFERRY_PORT_8787_TCP_PROTO": "tcp",
    "INFERRY_PORT_8787_TCP_PORT": "8787",
    "INFERRY_PORT_8787_TCP_ADDR": "10.0.0.1",
    "INFERRY_GRPC_SERVICE_HOST": "fd00::1",
    "INFERRY_GRPC_SERVICE_PORT": "50051",
    "INFERRY_GRPC_PORT": "tcp://[fd00::1]:50051",
    "INFERRY_GRPC_PORT_50051_TCP": "tcp://[fd00::1]:50051",
}


@pytest.fixture
def linked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)


def test_the_service_links_of_kubernetes_are_no_settings(linked: None, tmp_path: Path) -> None:
    config = load_settings(Config, None, {})
    assert (config.host, config.port, config.grpc_port) == ("127.0.0.1", 8787, 50051)
    assert load_settings(BridgeConfig, None, {}).port == 8787
    file = written(tmp_path, "port = 1")
    assert load_settings(Config, file, {}).port == 1
    assert load_settings(Config, file, {"port": 2}).port == 2


@pytest.mark.parametrize("text", ["tcp://10.0.0.1", "http://10.0.0.1:80", "tcp://10.0.0.1:80/a"])
def test_what_only_looks_like_a_service_link_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("INFERRY_PORT", text)
    with pytest.raises(SettingsError, match=f"INFERRY_PORT: .*got '{text}'"):
        load_settings(Config, None, {})


async def test_a_gateway_starts_beside_service_links_and_says_so(tmp_path: Path) -> None:
    log, ports = tmp_path / "gateway.log", ("--port", "0", "--grpc-port", "0")
    running = await start(log, "serve", "--data-dir", tmp_path, *ports, settings=LINKS)
    await running.stop()
    noted = [line for line in running.log.splitlines() if "service link" in line]
    assert "no setting is called so" not in running.log
    assert ["INFERRY_PORT" in noted[0], "INFERRY_GRPC_PORT" in noted[1]] == [True, True]


async def test_a_gateway_tells_of_a_variable_that_is_no_setting(tmp_path: Path) -> None:
    log, ports = tmp_path / "gateway.log", ("--port", "0", "--grpc-port", "0")
    misspelled = {"INFERRY_MAX_ATTEMPS": "5"}
    running = await start(log, "serve", "--data-dir", tmp_path, *ports, settings=misspelled)
    await running.stop()
    (told,) = [json.loads(line) for line in running.log.splitlines() if "ATTEMPS" in line]
    assert told["level"] == "warning"
    assert (told["variable"], told["nearest"]) == ("INFERRY_MAX_ATTEMPS", "INFERRY_MAX_ATTEMPTS")


def row(name: str, field: FieldInfo) -> str:
    """Says a setting as a row of docs/configuration.md."""
    default = field.default
    match default:
        case _ if name == "data_dir":
            shown = "`$XDG_DATA_HOME/inferry`"
        case None | ():
            shown = "unset"
        case bool():
            shown = f"`{str(default).lower()}`"
        case int():
            shown = f"{default:,}"
        case _:
            shown = f"`{default}`"
    if name.endswith("port"):
        return f"| `{name}` | `{default}` | 0 to 65535 | {field.description} |"
    lowest = next((bound.ge for bound in field.metadata if isinstance(bound, Ge)), None)
    highest = next((bound.le for bound in field.metadata if isinstance(bound, Le)), None)
    bounds = f"{lowest:,} to {highest:,}" if lowest is not None else ""
    return f"| `{name}` | {shown} | {bounds} | {field.description} |"


@pytest.mark.parametrize("kind", [Config, BridgeConfig])
def test_the_table_in_the_documents_is_that_of_the_code(
    kind: type[Config] | type[BridgeConfig],
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    section = page.split(f"<!-- {kind.__name__} -->")[1].split("<!-- end -->")[0]
    assert [line for line in section.splitlines() if line.startswith("| `")] == [
        row(name, field) for name, field in kind.model_fields.items()
    ]
