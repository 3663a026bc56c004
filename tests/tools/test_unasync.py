import pytest
from tools.unasync import PAIRS, made, unasync


@pytest.mark.parametrize(
    ("given", "right"),
    [
        (
            "async def f() -> int:\n    return await g(await h())\n",
            "def f() -> int:\n    return g(h())\n",
        ),
        ("async with a() as b:\n    pass\n", "with a() as b:\n    pass\n"),
        ("x = [y async for y in z]\n", "x = [y for y in z]\n"),
        ("c: AsyncClient = AsyncClient()\n", "c: Client = Client()\n"),
        (
            "from inferry.client.aio.task import AsyncTask\n",
            "from inferry.client.sync.task import Task\n",
        ),
        ("import grpc.aio\n", "import grpc\n"),
        (
            'm: "grpc.aio.UnaryUnaryMultiCallable[A, B]"\n',
            'm: "grpc.UnaryUnaryMultiCallable[A, B]"\n',
        ),
        ("f: Callable[[], Awaitable[Metadata]]\n", "f: Callable[[], Metadata]\n"),
        ("async def __aenter__(self) -> Self: ...\n", "def __enter__(self) -> Self: ...\n"),
        ('"""``AsyncTask`` ends.\n\n>>> await f()\n"""\n', '"""``Task`` ends.\n\n>>> f()\n"""\n'),
        ("x = 1  # AsyncTask\n", "x = 1  # Task\n"),
        ("awaited = asyncronous = f'{awaited}'\n", "awaited = asyncronous = f'{awaited}'\n"),
    ],
)
def test_what_waits_becomes_what_blocks(given: str, right: str) -> None:
    assert unasync(given) == right


def test_the_synchronous_modules_are_what_they_are_made_of() -> None:
    count = 0
    for path, code in made():
        assert path.read_text() == code, f"{path.name}: run `make sync` and commit"
        count += 1
    assert count > 10


def test_no_module_is_left_whose_source_is_gone() -> None:
    known = {path for path, _ in made()}
    for pair in PAIRS:
        for path in pair.target.glob("*.py"):
            assert path in known or path.name in pair.by_hand


def test_what_is_written_by_hand_has_the_same_names_in_both() -> None:
    for pair in PAIRS:
        for name in pair.by_hand - {"__init__.py", "conftest.py"}:
            both = [(folder / name).read_text() for folder in (pair.source, pair.target)]
            names = [
                {
                    line.split("(")[0].split(":")[0].split("[")[0].split()[-1]
                    for line in text.splitlines()
                    if line.startswith(("def ", "async def ", "class "))
                }
                for text in both
            ]
            assert names[0] == names[1]
