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
    rounding = 2e-2 if case == "mixed_float16" else 1e-5  # of float16; the examples of a batch in reverse order make 5e-3, on one device
    assert differences[case]["variables"] < rounding
    assert differences[case]["metrics"] < rounding
