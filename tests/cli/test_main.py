import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from inferry.cli.commands import COMMANDS, read
from inferry.cli.main import app

#: Runs a command to where it finds a fault in its settings, and tells what it read for that.
LOADED = """
import json, sys
from typer.testing import CliRunner
from inferry.cli.main import app
ran = CliRunner().invoke(app, sys.argv[1:])
assert ran.exit_code == 2, ran.output
print(json.dumps(sorted(sys.modules)))
"""


def loaded(*arguments: str) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], check=True, capture_output=True, text=True
    )
    return set(json.loads(ran.stdout))


def test_help_and_version_need_no_gateway() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    for group in ("Tasks", "Servers", "Gateway"):
        assert group in shown.stdout
    assert CliRunner().invoke(app, ["--version"]).stdout.startswith("inferry ")


@pytest.mark.parametrize("asked", [("-h",), ("list", "-h"), ("webhooks", "-h")], ids=" ".join)
def test_h_asks_for_help(asked: tuple[str, ...]) -> None:
    short, long = (CliRunner().invoke(app, [*asked[:-1], option]) for option in ("-h", "--help"))
    assert (short.exit_code, short.stdout) == (0, long.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_of_each_what_its_own_help_says_first(name: str) -> None:
    assert COMMANDS[name].says == " ".join(read(name).help.split("\n\n")[0].split())


def test_help_and_version_read_no_command() -> None:
    code = """
import sys
from inferry.cli.main import main
try:
    main()
except SystemExit:
    print("", *sys.modules, sep="\\n")
"""
    for option in ("--help", "--version"):
        ran = subprocess.run(
            [sys.executable, "-c", code, option], capture_output=True, text=True, check=True
        )
        modules = set(ran.stdout.splitlines())
        assert "inferry.cli.commands" in modules
        assert not {"grpc", "aiohttp", "pydantic", "inferry.cli.session"} & modules


def test_python_m_inferry_is_the_command() -> None:
    command = [sys.executable, "-m", "inferry", "--version"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == CliRunner().invoke(app, ["--version"]).stdout


def test_a_command_that_is_misspelt_is_refused_with_the_nearest_one() -> None:
    ran = CliRunner().invoke(app, ["brigde"])
    assert ran.exit_code == 2
    assert "Did you mean 'bridge'?" in ran.stderr


def test_the_bridge_alone_does_not_load_the_server() -> None:
    modules = loaded("bridge", "--upstream", "127.0.0.1:1", "--config", "no-such-file.toml")
    assert "inferry.bridge.app" in modules
    ours = {".".join(name.split(".")[:3]) for name in modules if name.startswith("inferry.server.")}
    # The settings file may hold the server's settings, too; both log alike.
    assert ours == {"inferry.server.config", "inferry.server.logs"}
    assert not {"apsw", "jwt", "cryptography"} & modules


@pytest.mark.parametrize("arguments", [("submit", "t", "{"), ("list", "--limit", "0")])
def test_a_command_on_tasks_loads_neither_gateway_nor_bridge(arguments: tuple[str, ...]) -> None:
    modules = loaded(*arguments)
    assert "inferry.cli.session" in modules
    heavy = {"inferry.server.app.gateway", "inferry.bridge.app", "apsw", "aiohttp", "uvloop"}
    # Nor what makes a token, before one is missing.
    heavy |= {"inferry.server.config", "inferry.server.access.tokens", "jwt", "cryptography"}
    assert not heavy & modules


def test_the_command_alone_loads_no_grpc() -> None:
    # What gRPC writes by itself is settled for each command before that loads it.
    code = "import sys; import inferry.cli.main; print('grpc' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


@pytest.mark.parametrize("command", ["", *COMMANDS, "webhooks create"])
def test_help_names_no_value_for_a_flag(command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0
    assert "--help" in shown.stdout
    assert "bool" not in shown.stdout
