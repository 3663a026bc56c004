"""What is shipped, and what may stand in the repository."""

import re
import subprocess
import sysconfig
import tarfile
import tomllib
import venv
from itertools import chain
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.client.scripted import running

ROOT = Path(__file__).parents[1]
#: The folder of each wheel's project.
PROJECTS = {"inferry": ROOT, "inferry_client": ROOT / "client"}
PYPROJECTS = {
    name: tomllib.loads((folder / "pyproject.toml").read_text())
    for name, folder in PROJECTS.items()
}
NAMESPACES = [ROOT / name / "inferry" for name in ("proto", "server", "client", "bridge")]
#: What the web page is made of.
PAGE = ROOT / "bridge/inferry/bridge/web/page"
#: What of the interpreter's own packages the client may need.
CLIENT_NEEDS = {"google", "grpc", "orjson", "typing_extensions.py"}
#: Homes of people and machines, and addresses that packages are downloaded from.
NOT_OURS = re.compile(
    rb"(?<![\w.])/(?:home|root|work|Users|opt)/\w|\b(?:pypi|pythonhosted|npmjs)\.(?:org|com)\b"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Builds the wheels."""
    folder = str(tmp_path_factory.mktemp("wheels"))
    return {
        name: Path(next(WheelBuilder(str(root)).build(directory=folder, versions=["standard"])))
        for name, root in PROJECTS.items()
    }


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Builds the sdists, and unpacks them."""
    folder = tmp_path_factory.mktemp("sdists")
    found = {}
    for name, root in PROJECTS.items():
        path = next(SdistBuilder(str(root)).build(directory=str(folder), versions=["standard"]))
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
        found[name] = folder / Path(path).name.removesuffix(".tar.gz")
    return found


@pytest.fixture(scope="module")
def wheels(built: dict[str, Path]) -> dict[str, set[str]]:
    """The names in each wheel."""
    found = {}
    for name, path in built.items():
        with ZipFile(path) as archive:
            found[name] = set(archive.namelist())
    return found


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


@pytest.mark.parametrize("project", PROJECTS)
def test_a_wheel_holds_inferry_and_its_metadata_and_nothing_else(
    wheels: dict[str, set[str]], project: str
) -> None:
    version = PYPROJECTS[project]["project"]["version"]
    tops = {name.split("/")[0] for name in wheels[project]}
    assert tops == {"inferry", f"{project}-{version}.dist-info"}
    assert not [name for name in wheels[project] if name.endswith((".pyc", ".db", ".log"))]
    assert f"{project}-{version}.dist-info/licenses/LICENSE" in wheels[project]


@pytest.mark.parametrize("project", PROJECTS)
def test_a_wheel_that_is_built_of_the_sdist_is_the_same(
    sources: dict[str, Path], wheels: dict[str, set[str]], project: str, tmp_path: Path
) -> None:
    builder = WheelBuilder(str(sources[project]))
    with ZipFile(next(builder.build(directory=str(tmp_path), versions=["standard"]))) as archive:
        assert set(archive.namelist()) == wheels[project]


def test_the_sdist_of_the_client_has_what_its_wheel_has_and_how_to_build_it(
    sources: dict[str, Path], wheels: dict[str, set[str]]
) -> None:
    root = sources["inferry_client"]
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    ours = {name for name in wheels["inferry_client"] if name.startswith("inferry/")}
    build = {"LICENSE", "PKG-INFO", "hatch_build.py", "pyproject.toml"}
    # hatchling brings what Git ignores here.
    assert files - {".gitignore"} == ours | build


def test_the_license_of_the_client_is_the_project_s() -> None:
    # A file: a sdist with a link to it would be one without.
    path = PROJECTS["inferry_client"] / "LICENSE"
    assert not path.is_symlink()
    assert path.read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_every_file_below_the_namespaces_is_in_one_wheel(wheels: dict[str, set[str]]) -> None:
    ours = {
        path.relative_to(namespace.parent).as_posix()
        for path in git_files()
        for namespace in NAMESPACES
        if path.is_relative_to(namespace) and not path.is_relative_to(PAGE)
    }
    assert ours <= wheels["inferry"] | wheels["inferry_client"]
    assert not wheels["inferry"] & wheels["inferry_client"]
    assert {Path(name).suffix for name in ours} >= {".py", ".pyi", ".proto", ".binpb", ".sql"}


def test_a_wheel_has_the_page_as_it_is_served_and_not_what_it_is_made_of(
    wheels: dict[str, set[str]],
) -> None:
    web = PAGE.parent.relative_to(ROOT / "bridge").as_posix()
    shipped = {name for name in wheels["inferry"] if name.startswith(f"{web}/")}
    built = {f"{web}/bundle/{path.name}" for path in (PAGE.parent / "bundle").iterdir()}
    assert shipped == built | {f"{web}/__init__.py", f"{web}/files.py"}
    assert not [name for name in shipped if name.endswith((".map", ".ts", ".tsx", ".json"))]


def test_every_portion_is_typed_and_in_its_wheel(wheels: dict[str, set[str]]) -> None:
    portions = {
        project: {"/".join(name.split("/")[:2]) for name in names if name.startswith("inferry/")}
        for project, names in wheels.items()
    }
    # Beside the portions: what `python -m inferry` runs.
    portions["inferry"].remove("inferry/__main__.py")
    assert portions["inferry"] == {"inferry/server", "inferry/bridge", "inferry/cli"}
    assert portions["inferry_client"] >= {
        "inferry/v1",
        "inferry/wire",
        "inferry/client",
        "inferry/backend",
    }
    for project, names in wheels.items():
        assert {f"{portion}/py.typed" for portion in portions[project]} <= names


def test_an_editable_install_reads_everything_where_it_is(tmp_path: Path) -> None:
    for root in PROJECTS.values():
        path = next(WheelBuilder(str(root)).build(directory=str(tmp_path), versions=["editable"]))
        with ZipFile(path) as archive:
            assert not [name for name in archive.namelist() if name.startswith("inferry/")]


def test_the_wheels_have_one_version_and_one_depends_on_the_other() -> None:
    projects = [project["project"] for project in PYPROJECTS.values()]
    assert len({project["version"] for project in projects}) == 1
    own = f"inferry-client=={projects[0]['version']}"
    assert own in projects[0]["dependencies"]
    shared = set(projects[1]["dependencies"])
    assert {canonicalize_name(Requirement(one).name) for one in shared} == {
        "googleapis-common-protos",
        "grpcio",
        "orjson",
        "protobuf",
    }
    assert shared <= set(projects[0]["dependencies"])


def test_the_client_works_in_an_empty_environment(built: dict[str, Path], tmp_path: Path) -> None:
    """With its own wheel and what that needs; to whatever else it might import it has no way."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    install = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([python, *install, built["inferry_client"]], check=True)
    needed = tmp_path / "needed"
    needed.mkdir()
    packages = Path(sysconfig.get_path("purelib"))
    for name in CLIENT_NEEDS:
        (needed / name).symlink_to(packages / name)
    with running() as gateway:
        code = f"""
import importlib.metadata, inferry.backend.grpc, inferry.client
with inferry.client.Client({gateway.address!r}, "secret") as client:
    print(client.run("echo", {{"n": 1}}), importlib.metadata.version("inferry-client"))
"""
        environment = {"PYTHONPATH": str(needed)}
        printed = subprocess.run(
            [python, "-c", code], check=True, env=environment, stdout=subprocess.PIPE, text=True
        )
    version = PYPROJECTS["inferry_client"]["project"]["version"]
    assert printed.stdout == f"{{'n': 1}} {version}\n"


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
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    texts = [text for line in lines if (text := line.partition("#")[0].strip())]
    pinned = {canonicalize_name(name): version for name, version in (t.split("==") for t in texts)}
    projects = [project["project"] for project in PYPROJECTS.values()]
    asked = [
        requirement
        for project in projects
        for requirement in (
            *project["dependencies"],
            *chain(*project["optional-dependencies"].values()),
        )
    ]
    for requirement in map(Requirement, asked):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} is not {version}"
