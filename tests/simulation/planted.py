"""Bugs to plant in the gateway, each a small change of its source, for the simulation to find."""

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import FunctionType
from typing import Any


@dataclass(frozen=True, slots=True)
class Bug:
    """One change of one function."""

    #: What it breaks.
    name: str
    #: The module below ``inferry.server`` and, after a colon, the function in it.
    place: str
    old: str
    new: str


BUGS = (
    Bug(
        "a creation is acknowledged before its commit",
        "engine.committer:Committer.do_all",
        "return await group.future",
        "return await group.future if not hasattr(orders[0][0], 'payload') else "
        "[operation.record for operation, _ in orders]",
    ),
    Bug(
        "a commit that failed is acknowledged",
        "engine.committer:Committer._commit",
        "[_cannot_write() for _ in batch]",
        "[one.record if hasattr(one, 'payload') else _cannot_write() for one, _, _ in batch]",
    ),
    Bug(
        "what a rolled back transaction left in memory is not forgotten",
        "store.sqlite.store:SqliteStore._undo",
        "self._batches.forget()",
        "pass",
    ),
    Bug(
        "a report is not fenced by its attempt",
        "task.reports:_fence",
        "and attempt in (None, record.attempt)",
        "",
    ),
    Bug(
        "a report may change a task that has ended",
        "task.lifecycle:apply",
        "target = TRANSITIONS.get((record.status, type(cause)))",
        "target = TRANSITIONS.get((record.status, type(cause)), getattr(Status, "
        "{'Succeed': 'COMPLETED', 'Fail': 'FAILED'}.get(type(cause).__name__, ''), None))",
    ),
    Bug(
        "a late result overwrites the outcome",
        "task.steps:keep_late",
        "Outcome(late_result=cause.result)",
        "Outcome(result=cause.result)",
    ),
    Bug(
        "a change wakes nobody who waits for a slot",
        "engine.ledger:Ledger.enter",
        "self._allocator.wake()",
        "pass",
    ),
    Bug(
        "an attempt is dispatched twice",
        "engine.ledger:Ledger.claimed",
        "self._dispatch(record, claimed.payload)",
        "self._dispatch(record, claimed.payload); self._dispatch(record, claimed.payload)",
    ),
    Bug(
        "an attempt is dispatched before its commit",
        "engine.creator:Creator._begin",
        "self._ledger.take_slot(claim.record)",
        "self._ledger._carrier.carry(claim.record, new.payload)",
    ),
    Bug(
        "the slot of a failed attempt stays taken",
        "engine.ledger:Ledger._ended",
        "self._free(closed.server_id, record.spec.id, closed.number)",
        "record.status.name == 'COMPLETED' and self._free(closed.server_id, record.spec.id, "
        "closed.number)",
    ),
    Bug(
        "the slot of a stopped attempt stays taken",
        "carriers.http.cancel:Stopper._stopped",
        "stopped()",
        "pass",
    ),
    Bug(
        "slots of before a restart are forgotten",
        "engine.ledger:Ledger.load",
        "for record in await store.running():",
        "for record in ():",
    ),
    Bug(
        "slots of what was stopped before a restart are given away",
        "engine.ledger:Ledger.stop_again",
        "self._fleet.take_slot(closed.server_id, task_id, closed.number)",
        "pass",
    ),
    Bug(
        "what was stopped before a restart keeps its slot for ever",
        "engine.ledger:Ledger.stop_again",
        "self._stop(task_id, closed)",
        "pass",
    ),
    Bug(
        "what waited before a restart is not in the queue",
        "engine.ledger:Ledger.load",
        "self._backlog.expect(await store.waiting_counts())",
        "pass",
    ),
    Bug(
        "a line that goes on is taken for whole when it is filled",
        "queue.window:Window.load",
        "end = found[limit].key if len(found) > limit else END",
        "end = END",
    ),
    Bug(
        "what begins to wait enters its line beyond the end of it",
        "queue.window:Window.admits",
        "if end is not None and task.key < end and (back or self.room > 0):",
        "if self.room > 0:",
    ),
    Bug(
        "what is left out of memory is forgotten",
        "queue.window:Window.admits",
        "self._missing.add(pair, 1)",
        "pass",
    ),
    Bug(
        "what ends outside of memory is counted for ever",
        "queue.window:Window.left",
        "self._missing.add(pair_of(line), -1)",
        "pass",
    ),
    Bug(
        "the stored count of what waits drifts",
        "store.sqlite.waiting_counts:WaitingCounts.leave",
        "self._add(record, -1)",
        "self._add(record, -(record.attempt == 0))",
    ),
    Bug(
        "a look forgets the first line of each route",
        "engine.refill:Refill._look",
        "shares |= dict.fromkeys(turn.there, share)",
        "shares |= dict.fromkeys(turn.there[1:], share)",
    ),
    Bug(
        "what was left out while a line was read is not looked for",
        "queue.window:Window.load",
        "self._ends[line] = min(end, left_out)",
        "self._ends[line] = END",
    ),
    Bug(
        "a task that may have run runs again though it is not idempotent",
        "task.failure:plan",
        "record.spec.idempotent if failure.outcome is AttemptOutcome.AMBIGUOUS",
        "True if failure.outcome is AttemptOutcome.AMBIGUOUS",
    ),
    Bug(
        "a restart runs again what is not idempotent",
        "engine.restart:end_cut_attempts",
        "await engine.answer(record.spec.id, record.attempt, _CUT)",
        "await engine.answer(record.spec.id, record.attempt, Failure(AttemptOutcome.REFUSED, ''))",
    ),
    Bug(
        "the limit of attempts is forgotten",
        "task.failure:plan",
        "and record.attempts_counted < record.spec.max_attempts",
        "",
    ),
    Bug(
        "a cancel leaves what waits in the queue",
        "engine.tasks:Engine.cancel",
        "return None if record.status is Status.CANCELLED else Cancel(reason)",
        "return None if record.status is Status.CANCELLED or record.waiting else Cancel(reason)",
    ),
    Bug(
        "numbers of events have a hole",
        "task.steps:report",
        "seq=record.seq + 1",
        "seq=record.seq + 1 + (cause.message == 'step 1')",
    ),
    Bug(
        "a claim sets no clock",
        "task.steps:claim",
        "deadline_ms=run_deadline(record.spec, attempt_deadline, last, now)",
        "deadline_ms=last",
    ),
    Bug(
        "timeouts that ran out are not noticed",
        "engine.sweeper:Sweeper.run_once",
        "await self._store.expired(now, STEP_LIMIT)",
        "[]",
    ),
    Bug(
        "time goes by the machine's clock, which may be set",
        "clock:SteadyClock.now_ms",
        "return self._time_ns(passed_ns) // _MS_NS",
        "return self.wall.now_ms()",
    ),
    Bug(
        "a restart forgets how late it was already",
        "engine.restart:take_up_time",
        "clock.reach(latest_ms)",
        "pass",
    ),
    Bug(
        "a restart leaves no grace to deadlines that are over",
        "engine.sweeper:Sweeper.run_once",
        "await self._engine.postpone(self._restart_grace_ms)",
        "pass",
    ),
    Bug(
        "a server that refuses a task ends the grace that a restart left it",
        "task.steps:release",
        "queued, ends = record.queued_ms, record.queue_deadline_ms",
        "queued = record.queued_ms; "
        "ends = queue_deadline(record.spec, queued, record.total_deadline_ms)",
    ),
    Bug(
        "a deadline sets no alarm",
        "engine.announcer:Announcer.announce",
        "self._alarm.note(record.deadline_ms)",
        "pass",
    ),
    Bug(
        "a request id is looked up and not kept",
        "store.sqlite.writes:SqliteWrites._insert",
        "if key is not None:",
        "if key is None and record is None:",
    ),
    Bug(
        "a watcher hears no ring while it reads",
        "engine.reader:Reader.watch",
        "await signal.event.wait()",
        "signal.event.clear(); await signal.event.wait()",
    ),
    Bug(
        "what follows from a commit depends on the caller's patience",
        "engine.committer:Committer._commit",
        "settle(result)",
        "group.future.done() or settle(result)",
    ),
    Bug(
        "a registration is taken note of by who waits for it",
        "engine.registry:Registry.register",
        "stored = await self._committer.do(PutServer(record), settle)",
        "stored = await self._committer.do(PutServer(record), lambda _: None); settle(stored)",
    ),
    Bug(
        "a server that is renewed becomes another one",
        "store.sqlite.servers:_written",
        "return server_of(row)",
        "return server_of((server_id, *row[1:]))",
    ),
    Bug(
        "what a server had that was taken out of the list is not ended",
        "engine.server_ledger:ServerLedger.dropped",
        "if member.holding:",
        "if False:",
    ),
    Bug(
        "a delayed task is not looked at when its time has come",
        "engine.allocator:Allocator.next_due_ms",
        "self._backlog.next_due_ms()",
        "None",
    ),
    Bug(
        "tasks whose claim failed are not in the queue again",
        "queue.backlog:Backlog.end_claim",
        "self._add(task, back=True)",
        "pass",
    ),
    Bug(
        "a claim that failed keeps its slots",
        "engine.ledger:Ledger.claimed",
        "self._fleet.reserve(server_id, -len(task_ids))",
        "isinstance(result, InferryError) or self._fleet.reserve(server_id, -len(task_ids))",
    ),
    Bug(
        "a server's death is not noticed",
        "carriers.http.probe:HealthLoop.run_once",
        "if 0 < member.lease.ends_ms(self._lease_ms) <= now:",
        "if False:",
    ),
    Bug(
        "a registration does not end a rest",
        "fleet.held_back:HeldBack.welcome",
        "member.rest = Rest()",
        "pass",
    ),
    Bug(
        "a server rests for as long as it asks",
        "fleet.rest:refuse",
        "min(rules.longest_ms, wait_ms)",
        "wait_ms",
    ),
    Bug(
        "a server that is gone is probed for ever",
        "engine.absentees:Absentees.run_once",
        "member.absent_ms(now) >= self._after_ms",
        "False",
    ),
    Bug(
        "an answer that cannot be written down at once is lost",
        "carriers.http.process:Dispatcher._write_down",
        "except UnavailableError:",
        "except LookupError:",
    ),
    Bug(
        "tasks are purged before their time",
        "store.sqlite.sweeps:purge",
        '"now_ms": operation.now_ms,',
        '"now_ms": operation.now_ms + 2_000,',
    ),
    Bug(
        "a purge leaves the events of its tasks",
        "store.sqlite.sweeps:purge",
        "for statement in _PURGE:",
        "for statement in (one for one in _PURGE if 'DELETE FROM events' not in one):",
    ),
    Bug(
        "a purge leaves nothing of the ids of its tasks",
        "store.sqlite.sweeps:purge",
        "for statement in _PURGE:",
        "for statement in (one for one in _PURGE if 'INTO tombstones' not in one):",
    ),
    Bug(
        "nothing is purged",
        "engine.sweeper:Sweeper.run_once",
        "if now >= self._purge_due_ms:",
        "if now < 0:",
    ),
    Bug(
        "the end of a purged task is waited for",
        "engine.reader:Reader.watch",
        "if not events and after_seq < record.seq:",
        "if False:",
    ),
    Bug(
        "a stream of reports loses those before its end",
        "rpc.task_service:TaskServicer.ReportTask",
        "record, _ = await self._reports.take(request)",
        "record = record if record and request.update.status == 2 else "
        "(await self._reports.take(request))[0]",
    ),
    Bug(
        "a stream of reports is told of an end that is not kept",
        "rpc.task_service:TaskServicer.ReportTask",
        "record, _ = await self._reports.take(request)",
        "final = request.update.status == 3 and record is not None; record = ("
        "record._replace(status=type(record.status)(3)) if final "
        "else (await self._reports.take(request))[0])",
    ),
    Bug(
        "a request id stands for any request",
        "store.sqlite.writes:SqliteWrites._replay",
        "if digest != key.digest:",
        "if digest is None:",
    ),
    Bug(
        "a default that is spelled out makes another request",
        "rpc.task_requests:_key",
        "repr((asked, start, canonical(payload), *told))",
        "repr((asked, start, canonical(payload), request.HasField('asynchronous')))",
    ),
    Bug(
        "a request id makes another task when the first is purged",
        "store.sqlite.writes:SqliteWrites._replay",
        "except TaskNotFoundError:\n            raise PurgedError(task_id) from None",
        "except (TaskNotFoundError, PurgedError):\n            return None",
    ),
    Bug(
        "a worker's credit is a window, which drifts",
        "fleet.lines:Lines.grant",
        "line.granted = granted",
        "line.granted = line.assigned + granted",
    ),
    Bug(
        "what was promised by claims under way is no credit that is used",
        "fleet.lines:Lines.assign",
        "given = line.connection not in APART and line.assigned < line.granted",
        "given = line.connection not in APART",
    ),
    Bug(
        "credit wakes nobody",
        "fleet.lines:Lines.grant",
        "self._fleet.claimable.set()",
        "pass",
    ),
    Bug(
        "an assignment that nobody acknowledged counts as lost",
        "carriers.worker.attempts:Attempts.give_back",
        "self._deeds.give_back(attempt, reason)",
        "self._deeds.lose(attempt, reason)",
    ),
    Bug(
        "an assignment that nobody acknowledges is not taken back",
        "carriers.worker.attempts:Attempts.tick",
        "for attempt in self.holds.overdue(Phase.GIVEN, now_ms):",
        "for attempt in ():",
    ),
    Bug(
        "the time to acknowledge runs before an assignment has left",
        "carriers.worker.attempts:Attempts.left",
        "now_ms + self._rules.acknowledge_ms",
        "self.holds._due[Phase.GIVEN].get(attempt, 0)",
    ),
    Bug(
        "what a worker had is not lost when its lease is over",
        "carriers.worker.worker:Worker.tick",
        "self.attempts.lose_all(_GONE)",
        "pass",
    ),
    Bug(
        "a worker goes on after its lease with what it lost",
        "carriers.worker.attempts:Attempts.acknowledged",
        "self.disown(attempt)",
        "self.holds.put(attempt, Phase.TAKEN)",
    ),
    Bug(
        "any resume token holds",
        "access.resume:ResumeSigner.holds",
        "return hmac.compare_digest(self.token(server_id).encode(), token.encode())",
        "return True",
    ),
    Bug(
        "a resume token of before a restart does not hold",
        "access.resume:ResumeSigner.token",
        "hmac.digest(self._key, server_id.encode(), hashlib.sha256)",
        "hmac.digest(self._key, f'{server_id}{id(self)}'.encode(), hashlib.sha256)",
    ),
    Bug(
        "a comparison forgets what is still on its way to the worker",
        "carriers.worker.holds:arrived",
        "return hold.number is not None and hold.number <= received",
        "return hold.number is not None",
    ),
    Bug(
        "what a worker holds is not compared",
        "carriers.worker.inbox:Inbox._heard",
        "compare(worker, heartbeat)",
        "pass",
    ),
    Bug(
        "the slot of a worker's attempt is free before it has stopped",
        "carriers.worker.attempts:Attempts.stop",
        "hold.stopped, hold.cancel = done, cancel",
        "hold.cancel = cancel; done()",
    ),
    Bug(
        "the slot of what a worker stopped stays taken",
        "carriers.worker.attempts:Attempts.forget",
        "done, hold.stopped = hold.stopped, None",
        "done = lambda: None",
    ),
    Bug(
        "what a worker leaves behind that said goodbye is kept",
        "carriers.worker.worker:Worker.cut",
        "self.attempts.lose_all(_LEFT)",
        "pass",
    ),
    Bug(
        "a worker that said goodbye gets more",
        "fleet.lines:Lines.leave",
        "found[1].leaving = True",
        "pass",
    ),
    Bug(
        "a worker whose handlers do not get on gets more",
        "carriers.worker.inbox:Inbox._heard",
        "session.ready, session.lag_ms = heartbeat.ready, heartbeat.handler_lag_ms",
        "session.ready = heartbeat.ready",
    ),
    Bug(
        "a restart forgets what workers have",
        "carriers.worker.crew:Crew.adopt",
        "worker.attempts.adopt((record.spec.id, record.attempt), taken=taken)",
        "pass",
    ),
    Bug(
        "a report is acknowledged that could not be written",
        "carriers.worker.deeds:Writer.report",
        "acks.append(refusal(word.number, result))",
        "acks.append(ReportAck(number=word.number, status=word.update.status))",
    ),
    Bug(
        "the result of a large report that is sent once more is thrown away",
        "carriers.worker.inbox:Inbox.receive",
        "session.chunks.add(key(chunk.attempt), chunk.offset, chunk.data)",
        "worker.attempts.holds.get(key(chunk.attempt)) and "
        "session.chunks.add(key(chunk.attempt), chunk.offset, chunk.data)",
    ),
    Bug(
        "a webhook that nobody took counts as taken",
        "webhooks.delivering:Postman._judge",
        "receipt.status in _GOOD",
        "receipt.status",
    ),
    Bug(
        "a webhook is sent before the one before it was taken",
        "store.outbox:Line.tell",
        "new.next_ms = 0",
        "pass",
    ),
    Bug(
        "webhooks that a gateway had in hand when it died are left to it",
        "store.sqlite.hooks:HookWrites._claim",
        'self._rows("release_claims", self._start)',
        "pass",
    ),
    Bug(
        "the webhook of an end is given up like progress",
        "webhooks.schedule:is_stale",
        "event is HookEvent.PROGRESS and",
        "",
    ),
)


def plant(bug: Bug) -> Callable[[], None]:
    """Changes the gateway's code; what is returned changes it back.

    Raises:
        LookupError: The code is no longer as the bug has it.
    """
    module_name, _, path = bug.place.partition(":")
    module = import_module(f"inferry.server.{module_name}")
    found: Any = module
    for name in path.split("."):
        found = getattr(found, name)
    function: FunctionType = inspect.unwrap(found)
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(bug.old) != 1:
        raise LookupError(f"{bug.place} has {source.count(bug.old)} times {bug.old!r}")
    made: dict[str, Any] = {}
    code = compile(source.replace(bug.old, bug.new), f"<{bug.name}>", "exec")
    exec(code, module.__dict__, made)  # it is our own code
    changed: FunctionType = inspect.unwrap(made[function.__name__])
    # The code alone: whoever imported the function by its name has it, too.
    before, function.__code__ = function.__code__, changed.__code__

    def pull() -> None:
        function.__code__ = before

    return pull


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """Plants a bug until the block ends."""
    pull = plant(bug)
    try:
        yield
    finally:
        pull()
