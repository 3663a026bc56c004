"""What shells are told when somebody presses the tab key."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from inferry.cli.commands import COMMANDS
from tests.processes import INFERRY

BASH = shutil.which("bash")

#: Asks as the script in ~/.bashrc does, with the words of a command line as arguments.
ASK_BASH = """
eval "$(_INFERRY_COMPLETE=source_bash inferry)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_inferry_completion inferry
printf '%s\\n' "${COMPREPLY[@]}"
"""


def ask(*command: str, **variables: str) -> str:
    path = f"{INFERRY.parent}:{os.environ['PATH']}"
    environment = {"PATH": path, **variables}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert ran.stderr == ""
    return ran.stdout


@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("",), set(COMMANDS)),
        (("su",), {"submit"}),
        (("wa",), {"watch"}),
        (("submit", "--fr"), {"--from"}),
        (("watch", "--all", "--status", "C"), {"COMPLETED", "CANCELLED"}),
        (("cancel", "--st"), {"--status"}),
        (("--addr",), {"--address"}),
    ],
)
def test_bash_is_offered_commands_options_and_values(
    words: tuple[str, ...], offered: set[str]
) -> None:
    asked = ask("bash", "-c", ASK_BASH, "bash", "inferry", *words)
    assert set(asked.split()) == offered


def test_zsh_is_offered_commands_with_what_they_do() -> None:
    asked = ask("inferry", _INFERRY_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="inferry to")
    assert '"top":"Show servers, slots, queue and rates' in asked
    assert '"token":"Print a token' in asked
    assert '"watch"' not in asked


def test_fish_is_offered_commands_with_what_they_do() -> None:
    asked = ask(
        "inferry",
        _INFERRY_COMPLETE="complete_fish",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
        _TYPER_COMPLETE_ARGS="inferry ca",
    )
    (line,) = asked.splitlines()
    assert line.startswith("cancel\tCancel a task")


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o default"), ("zsh", "#compdef"), ("fish", "complete")]
)
def test_each_shell_has_a_script(shell: str, word: str) -> None:
    assert word in ask("inferry", _INFERRY_COMPLETE=f"source_{shell}")


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_it_installs_itself_for_the_shell_that_asks(tmp_path: Path) -> None:
    said = ask("bash", "-c", "inferry --install-completion; :", HOME=str(tmp_path))
    assert said.startswith("bash completion installed")
    assert "inferry.sh" in (tmp_path / ".bashrc").read_text()
