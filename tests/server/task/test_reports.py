import orjson
import pytest
from google.protobuf.struct_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from inferry.server.errors import InvalidPayloadError, PayloadTooLargeError, StaleAttemptError
from inferry.server.task.failure import Failure
from inferry.server.task.inputs import Cancel, Claim, Expire, Input, Progress, Succeed
from inferry.server.task.lifecycle import apply, create
from inferry.server.task.record import Status, TaskRecord
from inferry.server.task.reports import Report, ReportRules, interpret, read_report, report_of
from inferry.v1.task_pb2 import Task, TaskUpdate
from inferry.wire.structs import value_of
from tests.server.situations import RULES, SPEC

NOW = SPEC.created_ms
READ = ReportRules(depth=8, largest=200)
SECRET = "0123456789abcdefABCDEF-_"
TOKEN = f"1.srv_01ARZ3NDEKTSV4RRFFQ69G5FAV.{SECRET}".encode()
COMPLETED = Report(Status.COMPLETED, result=b'{"a":1}')


def after(*inputs: Input) -> TaskRecord:
    record = create(SPEC, 0)[0]
    for one in (Claim("srv_1"), *inputs):
        record = apply(record, one, NOW, RULES).record
    return record


def finished(report: Report) -> TaskRecord:
    given = interpret(after(), 1, report)
    assert given is not None
    assert not isinstance(given, Failure)
    return after(given)


def test_each_status_word_of_the_guide_has_a_meaning() -> None:
    meanings = {
        status: type(interpret(after(), 1, Report(status, result=b"1"))) for status in Status
    }
    assert meanings == {
        Status.PENDING: Progress,
        Status.PROCESSING: Progress,
        Status.COMPLETED: Succeed,
        Status.FAILED: Failure,
        Status.TIMEOUT: Expire,
        Status.CANCELLED: Cancel,
    }


def test_a_completed_report_without_a_result_has_the_result_null() -> None:
    given = interpret(after(), 1, Report(Status.COMPLETED))
    assert isinstance(given, Succeed)
    assert given.result == b"null"


@pytest.mark.parametrize("attempt", [0, 2, 17])
def test_a_report_of_another_attempt_is_stale_whatever_the_status(attempt: int) -> None:
    for record in (after(), after(Progress(5)), finished(COMPLETED)):
        with pytest.raises(StaleAttemptError) as caught:
            interpret(record, attempt, COMPLETED)
        assert caught.value.details == {
            "attempt": attempt,
            "current": 1,
            "status": record.status.name,
        }


def test_a_report_of_an_attempt_that_was_given_up_is_stale() -> None:
    waiting = after()._replace(server_id=None)
    with pytest.raises(StaleAttemptError):
        interpret(waiting, 1, COMPLETED)


def test_the_same_final_report_again_changes_nothing() -> None:
    assert interpret(finished(COMPLETED), 1, COMPLETED) is None


def test_another_final_report_is_not_taken_for_the_same() -> None:
    record = finished(COMPLETED)
    for other in (
        COMPLETED._replace(result=b'{"a":2}'),
        Report(Status.FAILED, error="x"),
        Report(Status.CANCELLED),
    ):
        assert interpret(record, 1, other) is not None


@given(st.binary(max_size=4), st.text(max_size=4), st.text(max_size=4), st.binary(max_size=4))
def test_digests_do_not_confuse_neighbouring_fields(
    result: bytes, error: str, code: str, details: bytes
) -> None:
    plain = Report(Status.FAILED, result=result, error=error, code=code, details=details)
    moved = Report(Status.FAILED, result=result, error=error + code, code="", details=details)
    assert (plain.digest == moved.digest) == (code == "")


def test_progress_on_a_task_that_was_stopped_is_no_error() -> None:
    for stop in (Cancel("enough"), Expire("too long")):
        assert interpret(after(stop), 1, Report(Status.PROCESSING, 50)) is None


def test_a_backend_may_confirm_that_it_stopped() -> None:
    assert interpret(after(Cancel("enough")), 1, Report(Status.CANCELLED)) is None
    assert interpret(after(Expire("late")), 1, Report(Status.TIMEOUT)) is None


def test_the_first_late_result_counts_and_the_same_again_changes_nothing() -> None:
    late = interpret(after(Expire("late")), 1, COMPLETED)
    assert isinstance(late, Succeed)
    kept = after(Expire("late"), late)
    assert kept.status is Status.TIMEOUT
    assert interpret(kept, 1, COMPLETED) is None


def test_a_result_passes_through_byte_for_byte() -> None:
    text = b'{"z": 1e400,\n "a":9223372036854775808}'
    assert read_report(b'{"status":"COMPLETED","result":%b}' % text, READ).result == text
    assert report_of(TaskUpdate(status=Task.COMPLETED, result_json=text), READ).result == text


def test_a_result_as_a_message_is_written_as_json() -> None:
    update = TaskUpdate(status=Task.COMPLETED, result=Value(number_value=7))
    assert report_of(update, READ).result == b"7"


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (b"NaN", "result: no JSON, at position 0"),
        (b'{"a":1,"a":2}', 'result: an object names the member "a" twice'),
        (b"[" * 9 + b"]" * 9, "result: nested deeper than 8 levels"),
    ],
)
def test_a_result_that_cannot_pass_is_refused_by_either_door(result: bytes, reason: str) -> None:
    with pytest.raises(InvalidPayloadError, match=reason) as refused:
        read_report(b'{"status":"COMPLETED","result":%b}' % result, READ)
    assert refused.value.details == {"field": "result"}
    with pytest.raises(InvalidPayloadError, match=reason):
        report_of(TaskUpdate(status=Task.COMPLETED, result_json=result), READ)


def test_a_result_has_a_limit() -> None:
    with pytest.raises(PayloadTooLargeError, match="result: 202 bytes; the limit is 200"):
        report_of(TaskUpdate(status=Task.COMPLETED, result_json=b'"%b"' % (b"x" * 200)), READ)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b'{"b":1, "a":2}', b'{"b":1, "a":2}'),
        (b"[1, 2]", b'{"raw":[1, 2]}'),
        (b'"gone"', b'{"raw":"gone"}'),
        (b"17", b'{"raw":17}'),
        (b"NaN", b'{"raw":"NaN"}'),
        (b"[" * 9 + b"]" * 9, orjson.dumps({"raw": "[" * 9 + "]" * 9})),
        (b'{"a":"%b"}' % (b"x" * 200), orjson.dumps({"raw": '{"a":"%s"}' % ("x" * 200)})),
        (b"null", None),
    ],
)
def test_details_never_cost_the_end(said: bytes, kept: bytes | None) -> None:
    report = read_report(b'{"status":"FAILED","error":"no","details":%b}' % said, READ)
    assert (report.status, report.error, report.details) == (Status.FAILED, "no", kept)


def test_details_as_bytes_that_are_no_object_are_kept_as_they_can_be() -> None:
    update = TaskUpdate(status=Task.FAILED, details_json=b"\xff oops")
    assert report_of(update, READ).details == '{"raw":"\ufffd oops"}'.encode()


@pytest.mark.parametrize("text", [b'{"result":1}', b'{"status":"done"}', b'{"status":null}'])
def test_a_report_without_a_status_is_answered_with_those_that_are(text: bytes) -> None:
    with pytest.raises(InvalidPayloadError, match="one of PENDING, PROCESSING, COMPLETED"):
        read_report(text, READ)


def test_the_texts_of_a_message_have_the_bounds_of_json() -> None:
    update = TaskUpdate(status=Task.FAILED, error="x" * 5_000, code="y" * 500, extend_ms=-5)
    report = report_of(update, READ)
    assert (len(report.error), len(report.code), report.extend_ms) == (4_096, 128, 0)


def test_a_callback_token_that_a_backend_echoes_is_kept_nowhere() -> None:
    said = orjson.dumps({"url": f"http://a/?token={TOKEN.decode()}"})
    text = b'{"status":"COMPLETED","result":%b,"details":%b,"error":%b,"message":%b,"code":%b}'
    report = read_report(text % (said, said, said, said, orjson.dumps(TOKEN.decode())), READ)
    again = report_of(
        TaskUpdate(
            status=Task.COMPLETED,
            result_json=said,
            details_json=said,
            error=said.decode(),
            message=said.decode(),
            code=TOKEN.decode(),
        ),
        READ,
    )
    assert report == again
    assert SECRET not in repr(report)
    assert report.result == said.replace(SECRET.encode(), b"[callback token]")


@pytest.mark.parametrize("field", ["error", "message", "code", "details", "progress", "retryable"])
def test_no_part_of_a_callback_token_is_kept_where_a_text_is_cut(field: str) -> None:
    for length in (*range(130), *range(4_000, 4_100)):
        echoed = "x" * length + TOKEN.decode()
        report = read_report(orjson.dumps({"status": "FAILED", field: echoed}), READ)
        assert SECRET[:4] not in repr(report)


def test_a_callback_token_in_place_of_a_status_is_not_told() -> None:
    for echoed in (TOKEN.decode(), {"token": TOKEN.decode()}):
        with pytest.raises(InvalidPayloadError) as refused:
            read_report(orjson.dumps({"status": echoed}), READ)
        assert SECRET[:4] not in str(refused.value)


def test_what_stands_for_tokens_counts_to_the_bytes_of_a_result() -> None:
    echoed = b'"%b"' % b",".join([TOKEN[:-23]] * 5)
    assert len(echoed) < READ.largest
    for update in (
        TaskUpdate(status=Task.COMPLETED, result_json=echoed),
        TaskUpdate(status=Task.COMPLETED, result=Value(string_value=echoed[1:-1].decode())),
    ):
        with pytest.raises(PayloadTooLargeError):
            report_of(update, READ)


def test_a_result_has_one_bound_of_depth_in_either_form() -> None:
    text = b"[" * 9 + b"]" * 9
    for update in (
        TaskUpdate(status=Task.COMPLETED, result_json=text),
        TaskUpdate(status=Task.COMPLETED, result=value_of(text)),
    ):
        with pytest.raises(InvalidPayloadError, match="nested deeper than 8 levels"):
            report_of(update, READ)


def test_space_before_details_is_as_good_as_none() -> None:
    update = TaskUpdate(status=Task.FAILED, details_json=b' {"a":1}')
    assert report_of(update, READ).details == b' {"a":1}'
