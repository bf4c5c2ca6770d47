"""What a config is checked against once its data has been opened."""

from dataclasses import dataclass

from cnnkit.config.task import Task


@dataclass(frozen=True)
class DataSpec:
    """What is known of a source before its examples are read.

    Attributes:
        name: What its figures are headed with.
        input_shape: Shape of one example as the network gets it.
        task: What is to be predicted.
        told: How targets were taken that could have been meant otherwise; empty where nothing could.
    """

    name: str
    input_shape: tuple[int, ...]
    task: Task
    told: str = ""
