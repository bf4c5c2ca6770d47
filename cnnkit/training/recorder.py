"""Writes the events of a run to its history file and loggers, and forwards them to another listener."""

from collections.abc import Callable, Sequence

from cnnkit.keras_api.building import first_sentence
from cnnkit.training.fit import Listener
from cnnkit.training.history import History, Row
from cnnkit.training.loggers import Logger
from cnnkit.training.phases import LayerState


class ForwardingListener:
    """A listener that forwards every event to another one; what is based on it adds its own part to some of them.

    Args:
        listener: The listener that events are forwarded to, such as the console.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def on_phase(self, number: int, count: int, train: str, layers: Sequence[LayerState]) -> None:
        """Forward."""
        self._listener.on_phase(number, count, train, layers)

    def on_resume(self, rows: Sequence[Row], step: int) -> None:
        """Forward."""
        self._listener.on_resume(rows, step)

    def on_notice(self, text: str) -> None:
        """Forward."""
        self._listener.on_notice(text)

    def on_frozen(self, parameters: int, checksum: str) -> None:
        """Forward."""
        self._listener.on_frozen(parameters, checksum)

    def on_features(self, done: int, total: int) -> None:
        """Forward."""
        self._listener.on_features(done, total)

    def on_steps(self, epoch: int, step: int, logs: Row, images_per_second: float) -> None:
        """Forward."""
        self._listener.on_steps(epoch, step, logs, images_per_second)

    def on_epoch(self, row: Row) -> None:
        """Forward."""
        self._listener.on_epoch(row)


class Recorder(ForwardingListener):
    """A listener that writes the history and calls the loggers after each epoch, and forwards every event.

    Args:
        write: Writes the history's rows to the run's folder.
        listener: The listener that events are forwarded to, such as the console.
        history: The history, extended by the training loop.
        loggers: TensorBoard and others; one that fails is disabled.
    """

    def __init__(self, write: Callable[[list[Row]], None], listener: Listener, history: History, loggers: Sequence[Logger]) -> None:
        super().__init__(listener)
        self._write, self._history = write, history
        self._loggers = list(loggers)

    def on_epoch(self, row: Row) -> None:
        """Write the history, log the epoch, forward."""
        self._write(self._history.rows)
        self._log(lambda logger: logger.on_epoch(row))
        super().on_epoch(row)

    def close(self, state: str) -> None:
        """Close the loggers with the run's final state: finished, interrupted or failed."""
        self._log(lambda logger: logger.close(state))

    def _log(self, call: Callable[[Logger], None]) -> None:
        """Call every logger; one that fails is disabled, so that it does not end the run."""
        for logger in list(self._loggers):
            try:
                call(logger)
            except Exception as error:  # noqa: BLE001 - a server, a network or a full disk may raise anything
                self._loggers.remove(logger)
                self._listener.on_notice(f"{type(logger).__name__} failed and is left out from now on: {first_sentence(error)}")
