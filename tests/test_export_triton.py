"""`config.pbtxt` in Triton's own message type, read by protobuf's parser of the text format."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from cnnkit.config.task import Task
from cnnkit.export.triton import labels_text, triton_config

FIELD = descriptor_pb2.FieldDescriptorProto
# the fields of Triton's model_config.proto that are used, by name, number, type and whether they are repeated
MESSAGES = {
    "ModelInput": [("name", 1, FIELD.TYPE_STRING, False), ("data_type", 2, ".inference.DataType", False), ("dims", 4, FIELD.TYPE_INT64, True)],
    "ModelOutput": [("name", 1, FIELD.TYPE_STRING, False), ("data_type", 2, ".inference.DataType", False), ("dims", 3, FIELD.TYPE_INT64, True), ("label_filename", 4, FIELD.TYPE_STRING, False)],
    "ModelDynamicBatching": [("max_queue_delay_microseconds", 2, FIELD.TYPE_UINT64, False)],
    "ModelConfig": [("name", 1, FIELD.TYPE_STRING, False), ("max_batch_size", 4, FIELD.TYPE_INT32, False), ("input", 5, ".inference.ModelInput", True), ("output", 6, ".inference.ModelOutput", True), ("dynamic_batching", 11, ".inference.ModelDynamicBatching", False), ("backend", 17, FIELD.TYPE_STRING, False)],
}  # fmt: skip


def parsed(text: str):
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="inference", syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    kinds.value.add(name="TYPE_INVALID", number=0)
    kinds.value.add(name="TYPE_FP32", number=11)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            added = message.field.add(name=field, number=number, label=FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL)
            if isinstance(kind, str):
                added.type = FIELD.TYPE_ENUM if kind.endswith("DataType") else FIELD.TYPE_MESSAGE
                added.type_name = kind
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    config = message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))()
    return text_format.Parse(text, config)


def test_the_configuration_is_what_triton_reads() -> None:
    config = parsed(triton_config("cifar", (32, 32, 3), 10))
    assert (config.name, config.backend, config.max_batch_size) == ("cifar", "onnxruntime", 64)
    assert [(each.name, each.data_type, list(each.dims)) for each in config.input] == [("input", 11, [32, 32, 3])]
    assert [(each.name, each.data_type, list(each.dims), each.label_filename) for each in config.output] == [
        ("output", 11, [10], "labels.txt")
    ]
    assert config.dynamic_batching.max_queue_delay_microseconds == 1000


def test_a_name_cannot_break_out_of_its_quotes() -> None:
    assert parsed(triton_config('a"b\\', (4,), 1)).name == 'a"b\\'


def test_labels_are_those_of_the_outputs() -> None:
    assert labels_text(Task("classification", ("a", "b", "c")), 3) == "a\nb\nc\n"
    assert labels_text(Task("classification", ("no", "yes")), 1) == "yes\n"
