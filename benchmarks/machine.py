"""What the figures were measured on."""

import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("aiohttp", "apsw", "grpcio", "orjson", "protobuf", "uvloop")
_SYNCS = 200


def describe(data_dir: Path) -> dict[str, str]:
    """Names processors, versions, and the disk below ``data_dir`` with its time to sync."""
    return {
        "processors": f"{os.cpu_count()} x {_processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
        "disk": f"{_file_system(data_dir)}, fsync p50 {_sync_ms(data_dir):.2f} ms",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(path: Path) -> str:
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(point, kind) for point, kind in mounts if path.resolve().is_relative_to(point)]
    return max(above, key=lambda mount: len(mount[0]))[1]


def _sync_ms(directory: Path) -> float:
    taken_ms = []
    with (directory / "fsync").open("wb") as file:
        for _ in range(_SYNCS):
            began_s = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            taken_ms.append((time.perf_counter() - began_s) * 1e3)
    return statistics.median(taken_ms)
