"""How busy this machine is: measured, as far as it can be."""

from inferry.v1.server_pb2 import Load

try:
    import psutil
except ImportError:  # it is an extra of the light install
    psutil = None  # type: ignore[assignment]
try:
    import pynvml
except ImportError:  # only machines with such a card have it
    pynvml = None


class LoadMeter:
    """Measures; the first measure of the processors' use is 0."""

    def __init__(self) -> None:
        self._cards = _cards()
        self.measure(0)

    def measure(self, active: int) -> Load:
        """Gives the load: the busiest of processors and graphics cards, and so of their memory.

        Args:
            active: Attempts that are worked on.
        """
        cpu = memory = 0.0
        if psutil is not None:
            cpu, memory = psutil.cpu_percent(), psutil.virtual_memory().percent
        for card in self._cards:
            used = pynvml.nvmlDeviceGetMemoryInfo(card)
            cpu = max(cpu, pynvml.nvmlDeviceGetUtilizationRates(card).gpu)
            memory = max(memory, 100 * used.used / used.total)
        return Load(cpu=round(cpu, 1), memory=round(memory, 1), active_tasks=active)


def _cards() -> list[object]:
    if pynvml is None:
        return []
    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
