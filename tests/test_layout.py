"""How large the parts of the code may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PORTIONS = ("proto", "server", "client", "bridge", "examples", "tools", "benchmarks")
GENERATED = ("_pb2.py", "_pb2_grpc.py")
MODULE_LINES = 250
FUNCTION_LINES = 70


def modules(portion: str) -> list[Path]:
    """All that people wrote."""
    return [
        path
        for path in sorted((ROOT / portion).rglob("*.py"))
        if not path.name.endswith(GENERATED) and "node_modules" not in path.parts
    ]


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names each function of a module, and its lines with those of its decorators."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min(one.lineno for one in (node, *node.decorator_list))
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - first + 1


def too_large(name: str, text: str) -> list[str]:
    """Names what of a module is larger than it may be."""
    found = []
    lines = len(text.splitlines())
    if lines > MODULE_LINES:
        found.append(f"{name} has {lines} lines; {MODULE_LINES} at most")
    found += [
        f"{name}: {function} has {lines} lines; {FUNCTION_LINES} at most"
        for function, lines in functions(ast.parse(text))
        if lines > FUNCTION_LINES
    ]
    return found


@pytest.mark.parametrize("portion", PORTIONS)
def test_modules_and_functions_can_be_read_at_a_sitting(portion: str) -> None:
    found = modules(portion)
    assert found
    flaws = [
        flaw
        for path in found
        for flaw in too_large(path.relative_to(ROOT).as_posix(), path.read_text())
    ]
    assert not flaws


def test_a_module_and_a_function_that_are_too_large_are_named() -> None:
    text = "@one\n@two\ndef long() -> None:\n" + "    ...\n" * 68
    assert too_large("a.py", text) == ["a.py: long has 71 lines; 70 at most"]
    assert too_large("a.py", "\n" * 251) == ["a.py has 251 lines; 250 at most"]
    assert too_large("a.py", "def short() -> None:\n" + "    ...\n" * 69) == []
