"""The door of reports: who may make one, what it says, and what becomes of it."""

from inferry.server.access.callback import CallbackSigner
from inferry.server.engine.tasks import Engine
from inferry.server.errors import InvalidPayloadError, PayloadTooLargeError
from inferry.server.rpc.admission import visible_tenant
from inferry.server.task.record import TaskRecord
from inferry.server.task.reports import Report, ReportRules, bounded, read_report, report_of
from inferry.v1 import task_service_pb2 as pb
from inferry.wire.limits import TEXT_CHARS


class ReportDoor:
    """Takes reports, by the right of a callback URL or of a token."""

    def __init__(self, engine: Engine, signer: CallbackSigner, rules: ReportRules) -> None:
        self._engine = engine
        self._signer = signer
        self._rules = rules

    async def take(
        self, request: pb.UpdateTaskRequest | pb.ReportTaskRequest
    ) -> tuple[TaskRecord, Report]:
        """Takes one report; why one is refused that cannot be read is kept on its attempt.

        Raises:
            UnauthenticatedError: Nobody knows whose it is.
            InvalidPayloadError: It cannot be read.
            PayloadTooLargeError: Its result is too large.
            InferryError: As ``Engine.report`` says.
        """
        attempt, tenant = None, None
        if request.token:
            attempt = self._signer.verify(request.id, request.token).attempt
        else:
            tenant = visible_tenant()
        task_id = request.id
        try:
            report = self._read(request)
        except (InvalidPayloadError, PayloadTooLargeError) as refusal:
            await self._engine.misreport(task_id, attempt, refusal.message, tenant)
            raise
        del request
        return await self._engine.report(task_id, attempt, report, tenant), report

    def _read(self, request: pb.UpdateTaskRequest | pb.ReportTaskRequest) -> Report:
        if isinstance(request, pb.UpdateTaskRequest):
            if request.HasField("unreadable"):
                raise InvalidPayloadError(bounded(request.unreadable, TEXT_CHARS))
            if request.HasField("update_json"):
                return read_report(request.update_json, self._rules)
        return report_of(request.update, self._rules)
