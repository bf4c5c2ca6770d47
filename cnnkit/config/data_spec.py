"""The data spec: name, input shape and task of a data source, against which a config is checked."""

from dataclasses import dataclass

from cnnkit.config.task import Task


@dataclass(frozen=True)
class DataSpec:
    """Metadata of a data source, known before its examples are read.

    Attributes:
        name: The name its metrics are printed under.
        input_shape: Shape of one example as the network receives it, without the batch.
        task: The prediction task.
        interpretation: Notice of how ambiguous inputs and targets were interpreted; empty where nothing was ambiguous.
    """

    name: str
    input_shape: tuple[int, ...]
    task: Task
    interpretation: str = ""
