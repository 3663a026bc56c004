from typer.testing import CliRunner

from inferry.cli.main import app


def test_help_and_version_need_no_gateway() -> None:
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    for group in ("Tasks", "Servers", "Gateway"):
        assert group in shown.stdout
    assert CliRunner().invoke(app, ["--version"]).stdout.startswith("inferry ")
