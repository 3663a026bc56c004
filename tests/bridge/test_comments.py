from importlib import resources

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

import inferry.v1
from inferry.bridge.comments import read_comments
from inferry.bridge.services import services


def test_every_message_field_and_rpc_has_its_words() -> None:
    comments = read_comments()
    for service in services():
        for method in service.descriptor.methods:
            assert method.full_name in comments
            for message in (method.input_type, method.output_type):
                assert message.full_name in comments
                assert all(field.full_name in comments for field in message.fields)


@pytest.mark.parametrize(
    ("name", "comment"),
    [
        ("inferry.v1.TaskService", "Creates, reads, watches, reports on and ends tasks."),
        ("inferry.v1.TaskService.GetTask", "Reads a task; may wait for its end."),
        ("inferry.v1.Task.Status.PENDING", "Waiting in the queue, or being handed to a server."),
        ("inferry.v1.ServerVerdict.Rule.FULL", "All its slots are taken."),
        ("inferry.v1.ListTasksRequest.page_size", "Tasks a page, 1 to 500. Default: 50."),
    ],
)
def test_a_comment_is_one_line_by_full_name(name: str, comment: str) -> None:
    assert read_comments()[name] == comment


def bare(file: FileDescriptorProto) -> FileDescriptorProto:
    """Takes away what protoc writes into a set alone."""
    messages = list(file.message_type)
    for message in messages:
        messages.extend(message.nested_type)
        for field in message.field:
            field.ClearField("json_name")
    for extension in file.extension:
        extension.ClearField("json_name")
    file.ClearField("source_code_info")
    return file


def test_the_descriptors_with_comments_are_those_of_the_generated_code() -> None:
    folder = resources.files(inferry.v1)
    files = FileDescriptorSet.FromString(folder.joinpath("descriptors.binpb").read_bytes()).file
    protos = {f"inferry/v1/{entry.name}" for entry in folder.iterdir() if ".proto" in entry.name}
    assert {file.name for file in files} == protos
    assert list(services())
    for file in files:
        generated = descriptor_pool.Default().FindFileByName(file.name).serialized_pb
        same = bare(file) == bare(FileDescriptorProto.FromString(generated))
        assert same, f"{file.name}: run 'make proto' and commit"
