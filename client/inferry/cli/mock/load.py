"""How busy this machine is, for the mock backend's health answer."""

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")


def cpu_percent() -> float:
    """Gives the processors' use, in percent: runnable processes a processor, a minute's mean."""
    return round(min(100.0, 100 * os.getloadavg()[0] / (os.cpu_count() or 1)), 1)


def memory_percent() -> float:
    """Gives the memory's use, in percent; 0 on systems that do not tell in ``/proc``."""
    if not _MEMINFO.exists():
        return 0.0
    lines = (line.split() for line in _MEMINFO.read_text(encoding="ascii").splitlines())
    sizes = {words[0]: int(words[1]) for words in lines}
    return round(100 * (1 - sizes["MemAvailable:"] / sizes["MemTotal:"]), 1)
