"""What a run is trained on: its devices and, where several processes share it, their cluster."""

from dataclasses import dataclass, field

from cnnkit.training.distribution.cluster import Cluster
from cnnkit.training.step import Devices, OneDevice


@dataclass(frozen=True)
class Workers:
    """Devices with their cluster.

    Attributes:
        devices: What the training steps run on.
        cluster: The processes that share the run; None for this one alone.
    """

    devices: Devices = field(default_factory=OneDevice)
    cluster: Cluster | None = None

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run."""
        return self.devices.worker == 0
