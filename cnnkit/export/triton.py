"""The configuration of a model in a repository of NVIDIA's Triton Inference Server (`config.pbtxt`, protobuf text format).

https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/model_configuration.html
"""

import json
from collections.abc import Sequence

from cnnkit.config.task import Task
from cnnkit.data.pipeline import batch_of
from cnnkit.errors import escape_unprintable
from cnnkit.export.writers.writer import INPUT, OUTPUT

LABELS = "labels.txt"
MOST_BATCH = 64
QUEUE_DELAY = 1000  # microseconds that a request waits for others to share its batch


def triton_config(name: str, input_shape: Sequence[int], outputs: int) -> str:
    """The text of `config.pbtxt`.

    Args:
        name: Name of the model, which is that of its folder.
        input_shape: Shape of one example, without the batch.
        outputs: Number of values for one example.
    """
    batch = min(MOST_BATCH, batch_of(input_shape))
    return f"""name: {json.dumps(name)}
backend: "onnxruntime"
max_batch_size: {batch}
input [
  {{
    name: "{INPUT}"
    data_type: TYPE_FP32
    dims: [ {", ".join(map(str, input_shape))} ]
  }}
]
output [
  {{
    name: "{OUTPUT}"
    data_type: TYPE_FP32
    dims: [ {outputs} ]
    label_filename: "{LABELS}"
  }}
]
dynamic_batching {{
  max_queue_delay_microseconds: {QUEUE_DELAY}
}}
"""


def labels_text(task: Task, outputs: int) -> str:
    """The names of the outputs, a line each, for Triton's classification extension.

    Where one output stands for two classes, it is the second one's.
    """
    names = task.names[-outputs:]
    return "".join(f"{escape_unprintable(name)}\n" for name in names)
