"""Several devices of one machine against one: the same weights, optimizer state and metrics up to rounding, whatever the config."""

import json
import subprocess
import sys

import pytest

from tests.replicas import CASES

REPLICAS = 3  # batches of 8 give shares of 2, 3 and 3


@pytest.fixture(scope="module")
def differences() -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "tests.replicas", str(REPLICAS)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_three_devices_give_the_result_of_one(differences: dict[str, dict[str, float]], case: str) -> None:
    assert differences[case]["variables"] < 1e-5
    assert differences[case]["metrics"] < 1e-5
