"""What every test shares: quiet TensorFlow, no network, and the signature table made once."""

import os
import socket
from typing import Any

import pytest

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Refuse every connection, and keep Keras's own folder of this machine out of the tests."""

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise OSError("the tests have no network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras_home")))


@pytest.fixture(scope="session", autouse=True)
def signature_table_is_there() -> None:
    """DatasetArrays on the first run on a machine, seconds; so that no test's figures depend on it."""
    from cnnkit.keras_api.signatures import signature_table

    signature_table()
