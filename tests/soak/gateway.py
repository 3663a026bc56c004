"""The gateway of a soak: it also tells what SQLite has of its memory.

python -m tests.soak.gateway FILE serve ...

SQLite's caches have a bound, and need hours of a steady load to come to it: what they have is no
leak, and would hide one.
"""

import sys
import time
from pathlib import Path
from threading import Thread

import apsw

from inferry.cli.main import main

_EACH_S = 0.25


def sqlite_bytes(file: Path) -> int:
    """Reads what was told last; 0 before anything was."""
    return int(file.read_text()) if file.exists() else 0


def _tell(file: Path) -> None:
    new = file.with_suffix(".new")
    while True:
        used, _most = apsw.status(apsw.SQLITE_STATUS_MEMORY_USED)
        new.write_text(str(used))
        new.replace(file)
        time.sleep(_EACH_S)


if __name__ == "__main__":
    Thread(target=_tell, args=(Path(sys.argv.pop(1)),), daemon=True).start()
    main()
