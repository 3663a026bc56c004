"""Finds the backend that a person named as ``module:app``."""

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType, TracebackType

from inferry.backend import Backend

_ATTRIBUTE = "app"


class TargetError(Exception):
    """There is no such backend; says why.

    Args:
        why: One line.
        trace: Where the module raised, if it did.
    """

    def __init__(self, why: str, trace: str = "") -> None:
        super().__init__(why)
        self.trace = trace


def load(target: str) -> Backend:
    """Imports ``module`` or ``module:attribute``, from the current directory first.

    Its child processes import it from there, too.

    Raises:
        TargetError: There is no such module or attribute, it raises, or is no backend.
    """
    name, _, attribute = target.partition(":")
    attribute = attribute or _ATTRIBUTE
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _imported(name)
    if not hasattr(module, attribute):
        raise TargetError(f"module {name} has no attribute {attribute}{_others(name, module)}")
    found = getattr(module, attribute)
    if not isinstance(found, Backend):
        text = (
            f"{name}:{attribute} is of type {type(found).__name__}, not an inferry.backend.Backend"
        )
        raise TargetError(text + _others(name, module))
    return found


def _imported(name: str) -> ModuleType:
    if name.endswith(".py") and Path(name).exists():
        raise TargetError(f"expected a module, {Path(name).stem}, got its file: {name}")
    if not all(part.isidentifier() for part in name.split(".")):
        raise TargetError(f"expected MODULE:ATTRIBUTE, such as worker:app, got {name!r}")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            text = f"there is no module {error.name}, neither in {Path.cwd()} nor installed"
            raise TargetError(text) from None
        raise _broken(name, error) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a module does when it is imported
        raise _broken(name, error) from None


def _broken(name: str, error: BaseException) -> TargetError:
    lines = traceback.format_exception(type(error), error, _beyond_import(error.__traceback__))
    text = f"module {name} cannot be imported: {type(error).__name__}: {error}"
    return TargetError(text, "".join(lines))


def _beyond_import(trace: TracebackType | None) -> TracebackType | None:
    """Leaves out the frames of the import itself: they tell its author nothing."""
    skipped = (__file__, importlib.__file__)
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file not in skipped and not file.startswith("<frozen importlib"):
            break
        trace = trace.tb_next
    return trace


def _others(name: str, module: ModuleType) -> str:
    """Names the backends that a module has."""
    found = [key for key, value in vars(module).items() if isinstance(value, Backend)]
    return f"; it has {', '.join(f'{name}:{key}' for key in found)}" if found else ""
