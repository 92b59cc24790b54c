"""Fixtures of MV-CC, which its official code made (float32).

    python -m tests.parity.caption_fixtures ../shared/fixtures

writes `caption/` anew: what the tests read.
"""

import functools
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.parity.array_fixtures import ArrayFixtures

FOLDER = Path(__file__).parent / "caption"
FIXTURES = ArrayFixtures(FOLDER / "mvcc_caption.npz", ("fc_alpha", "position_encoding", "fusion/alpha"))
SETTINGS = "mvcc_caption.json"
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}


@functools.cache
def settings() -> dict[str, Any]:
    """What is not an array."""
    return json.loads((FOLDER / SETTINGS).read_text(encoding="utf-8"))


if __name__ == "__main__":
    FIXTURES.write(Path(sys.argv[1]))
    shutil.copyfile(Path(sys.argv[1]) / SETTINGS, FOLDER / SETTINGS)
