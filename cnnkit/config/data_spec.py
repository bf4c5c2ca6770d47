"""What a config is checked against once its data has been opened."""

from dataclasses import dataclass

from cnnkit.config.task import Task


@dataclass(frozen=True)
class DataSpec:
    """What is known of a source before its examples are read.

    Attributes:
        name: The name its metrics are printed under.
        input_shape: Shape of one example as the network gets it.
        task: What is to be predicted.
        interpretation: How targets were read where another reading was possible; empty where nothing could.
    """

    name: str
    input_shape: tuple[int, ...]
    task: Task
    interpretation: str = ""
