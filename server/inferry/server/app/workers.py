"""The workers: all that their streams go through, from the settings."""

from dataclasses import dataclass
from random import Random

from inferry.server.access.resume import ResumeSigner
from inferry.server.app.core import Core
from inferry.server.app.rules import worker_rules
from inferry.server.carriers.worker.carrier import WorkerCarrier
from inferry.server.carriers.worker.crew import Crew
from inferry.server.carriers.worker.deeds import Writer
from inferry.server.carriers.worker.inbox import Inbox
from inferry.server.carriers.worker.rounds import WorkerRounds
from inferry.server.fleet.lines import Lines


@dataclass(frozen=True, slots=True)
class Workers:
    """The parts that others are handed."""

    crew: Crew
    inbox: Inbox
    carrier: WorkerCarrier
    rounds: WorkerRounds
    writer: Writer

    async def close(self) -> None:
        """Has all workers go and open another stream, and lets their last words be written."""
        await self.crew.close()
        await self.writer.close()


def new_workers(core: Core, resume: ResumeSigner) -> Workers:
    """Makes what workers need; none is connected."""
    clock, memory, rules = core.clock, core.memory, worker_rules(core.config)
    writer = Writer(core.cases.engine, rules.report)
    crew = Crew(
        fleet=memory.fleet,
        deeds=writer,
        resume=resume,
        clock=clock,
        random=Random(),  # noqa: S311  # jitter
        tenure=memory.tenure,
        rules=rules,
    )
    inbox = Inbox(crew, Lines(memory.fleet), writer, clock)
    carrier = WorkerCarrier(crew, clock, rules.cancel_grace_ms, memory.telemetry.tracing)
    return Workers(crew, inbox, carrier, WorkerRounds(crew, memory.fleet, rules.beat_ms), writer)
