"""What is shipped, and what may stand in the repository."""

import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAMESPACES = [
    ROOT / path for path in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
]
#: Homes of people and machines, and addresses that packages are downloaded from.
NOT_OURS = re.compile(
    rb"(?<![\w.])/(?:home|root|work|Users|opt)/\w|\b(?:pypi|pythonhosted|npmjs)\.(?:org|com)\b"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Builds the wheel; the names in it."""
    built = WheelBuilder(str(ROOT)).build(
        directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"]
    )
    with ZipFile(next(iter(built))) as archive:
        return set(archive.namelist())


def git_files() -> list[Path]:
    """Everything that is or would be committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.mark.parametrize("namespace", NAMESPACES, ids=lambda path: path.parent.name)
def test_inferry_is_a_namespace_in_every_root(namespace: Path) -> None:
    assert namespace.is_dir()
    assert not (namespace / "__init__.py").exists()


def test_the_wheel_holds_inferry_and_its_metadata_and_nothing_else(wheel: set[str]) -> None:
    version = PYPROJECT["project"]["version"]
    assert {name.split("/")[0] for name in wheel} == {"inferry", f"inferry-{version}.dist-info"}
    assert not [name for name in wheel if name.endswith((".pyc", ".db", ".log"))]


def test_every_file_below_the_namespaces_is_in_the_wheel(wheel: set[str]) -> None:
    ours = {
        path.relative_to(namespace.parent).as_posix()
        for path in git_files()
        for namespace in NAMESPACES
        if path.is_relative_to(namespace)
    }
    assert ours <= wheel
    assert {Path(name).suffix for name in ours} >= {".py", ".pyi", ".proto", ".binpb", ".sql"}


def test_every_portion_is_typed(wheel: set[str]) -> None:
    portions = {"/".join(name.split("/")[:2]) for name in wheel if name.startswith("inferry/")}
    assert portions >= {
        "inferry/v1",
        "inferry/server",
        "inferry/bridge",
        "inferry/backend",
        "inferry/cli",
    }
    assert {f"{portion}/py.typed" for portion in portions} <= wheel


def test_the_repository_names_no_machine_and_no_place_of_download() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {match[0].decode()}"
        for path in git_files()
        for match in NOT_OURS.finditer(path.read_bytes())
    }
    assert not found


def test_no_lock_file_with_addresses_is_kept() -> None:
    locks = {"package-lock.json", "yarn.lock", "pnpm-lock.yaml", "poetry.lock", "uv.lock"}
    assert not [path for path in git_files() if path.name in locks]


def test_the_constraints_name_every_dependency_and_lie_within_its_range() -> None:
    project = PYPROJECT["project"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    texts = [text for line in lines if (text := line.partition("#")[0].strip())]
    pinned = {canonicalize_name(name): version for name, version in (t.split("==") for t in texts)}
    asked = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    for requirement in map(Requirement, asked):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} is not {version}"
