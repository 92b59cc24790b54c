"""Fixtures of SPECIAL, which its official code made (float32).

    python -m tests.parity.hyperspectral_fixtures ../shared/fixtures

writes `hyperspectral/special_step.npz` anew: what the tests read. Bands of the cube before its stretch are not kept.
"""

import sys
from pathlib import Path

from tests.parity.array_fixtures import ArrayFixtures

FIXTURES = ArrayFixtures(
    Path(__file__).parent / "hyperspectral" / "special_step.npz", ("rsshow/hsi_in", "rec_head", "metric/0")
)
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}

if __name__ == "__main__":
    FIXTURES.write(Path(sys.argv[1]))
