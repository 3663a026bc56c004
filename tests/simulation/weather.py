"""What can go wrong in one world, and how often: drawn from its seed.

Most faults are absent from most worlds: a world with all of them at once hides what each does.
"""

from dataclasses import dataclass
from random import Random
from typing import Self


@dataclass(frozen=True, slots=True)
class Weather:
    """Probabilities (``_p``), counts (``_n``) and durations (``_s``) of faults."""

    #: A message takes up to so long.
    latency_s: float
    #: A message takes up to ``straggle_s`` more, and so may be overtaken.
    straggle_p: float
    straggle_s: float
    #: A connection is refused; breaks before the request is read; breaks before the answer is.
    refuse_p: float
    cut_before_p: float
    cut_after_p: float
    #: A callback is delivered twice.
    double_p: float
    #: A call of a client breaks, before or after it was read.
    client_cut_p: float
    #: A client hangs up before the answer is there.
    hang_up_p: float
    #: Gateways that are killed, and stopped in good order.
    crash_n: int
    stop_n: int
    #: Jumps of the machine's clock, by up to so much.
    jump_n: int
    jump_s: float
    #: A write to disk takes up to so long.
    disk_s: float
    #: Times at which the disk is full; commits that fail with an I/O error.
    full_n: int
    io_p: float
    #: Deaths of each backend.
    death_n: int
    #: A backend's health check fails or hangs.
    sick_p: float
    #: A backend refuses; rejects; talks nonsense; never ends; lies.
    busy_p: float
    reject_p: float
    nonsense_p: float
    hang_p: float
    lie_p: float
    #: A backend does not repeat a callback that did not arrive.
    careless_p: float
    #: What an operator does: drains, resumes, registers again, deregisters.
    operator_n: int
    #: Types that are paused for a while, and times that all failed tasks run again.
    meddle_n: int

    #: A task is kept for a few seconds only; how often such tasks are purged.
    fleeting_p: float
    purge_ms: int
    #: Another request is sent under a name that was used.
    reuse_p: float
    #: A backend reports by a stream.
    stream_p: float

    #: Of each message on a worker's stream: with it the stream is cut, or dead and nobody notices.
    sever_p: float
    hush_p: float
    #: Deaths, freezes, stalls and goodbyes of each worker; others that come under its name.
    worker_death_n: int
    freeze_n: int
    stall_n: int
    leave_n: int
    twin_n: int
    #: A worker's models load for so long.
    load_s: float
    #: A worker takes up to so long over each message.
    slow_s: float
    #: A worker opens another stream while it has one.
    impatient_p: float
    #: A worker forgets to acknowledge an assignment; mislays it; gives it back.
    forget_p: float
    mislay_p: float
    deny_p: float
    #: A worker's list of what it holds is wrong.
    mislist_p: float
    #: A worker never stops what it is told to stop.
    deaf_p: float

    #: Gateways that share a database tell each other that there is news; else they look.
    notices: bool
    #: Gateways among others that are frozen.
    halt_n: int

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Draws the weather of a world."""

        def seldom(most: float, chance: float = 0.35) -> float:
            return random.uniform(0, most) if random.random() < chance else 0.0

        def few(most: int, chance: float = 0.35) -> int:
            return random.randint(1, most) if random.random() < chance else 0

        return cls(
            latency_s=random.choice((0.001, 0.02, 0.02, 0.3)),
            straggle_p=seldom(0.3),
            straggle_s=random.uniform(0.5, 6.0),
            refuse_p=seldom(0.4),
            cut_before_p=seldom(0.3),
            cut_after_p=seldom(0.3),
            double_p=seldom(0.4),
            client_cut_p=seldom(0.3),
            hang_up_p=seldom(0.5, 0.2),
            crash_n=few(3, 0.5),
            stop_n=few(1, 0.15),
            jump_n=few(3, 0.25),
            jump_s=random.choice((1.0, 10.0, 60.0, 3_600.0)),
            disk_s=random.choice((0.0, 0.0, 0.005, 0.1)),
            full_n=few(5, 0.35),
            io_p=seldom(0.05, 0.2),
            death_n=few(2, 0.3),
            sick_p=seldom(0.5, 0.25),
            busy_p=seldom(0.6),
            reject_p=seldom(0.4),
            nonsense_p=seldom(0.2, 0.2),
            hang_p=seldom(0.4),
            lie_p=seldom(0.6),
            careless_p=seldom(0.4, 0.2),
            operator_n=few(3, 0.25),
            meddle_n=few(3, 0.2),
            fleeting_p=seldom(0.6, 0.3),
            purge_ms=random.choice((1_000, 3_000, 60_000)),
            reuse_p=seldom(0.8, 0.3),
            stream_p=seldom(0.6),
            sever_p=seldom(0.05),
            hush_p=seldom(0.03, 0.25),
            worker_death_n=few(3, 0.4),
            freeze_n=few(3, 0.35),
            stall_n=few(2, 0.25),
            leave_n=few(2, 0.35),
            twin_n=few(2, 0.25),
            load_s=seldom(3.0),
            slow_s=seldom(1.0, 0.25),
            impatient_p=seldom(0.1, 0.25),
            forget_p=seldom(0.3, 0.25),
            mislay_p=seldom(0.3, 0.25),
            deny_p=seldom(0.3, 0.25),
            mislist_p=seldom(0.3, 0.25),
            deaf_p=seldom(0.5),
            notices=random.random() < 0.6,
            halt_n=few(3, 0.5),
        )
