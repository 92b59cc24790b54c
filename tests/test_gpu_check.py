"""The check for GPUs, tiny and on the CPU: every measurement runs, and the findings are whole."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu_check.py"
# What an image for GPUs may lack, and that the package is installed; the first three parts must do without.
ABSENT = """import sys
sys.modules.update(dict.fromkeys(['datasets', 'rasterio', 'shapely', 'pyarrow', 'pandas']))
sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]
"""


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("findings")
    words = ["--smoke", "--part", "1", "--part", "2", "--part", "3", "--output", str(folder / "{part}.json")]
    code = f"{ABSENT}import runpy\nsys.argv = ['gpu_check', *{words!r}]\n"
    code += f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return {part: json.loads((folder / f"{part}.json").read_text(encoding="utf-8")) for part in (1, 2, 3)}


def test_every_measurement_runs_without_what_a_gpu_image_may_lack(findings):
    assert {part: content["failed"] for part, content in findings.items()} == {1: {}, 2: {}, 3: {}}
    names = [row["name"] for content in findings.values() for row in content["rows"]]
    assert names == [
        *("machine", "segmenter fp32", "segmenter tf32", "segmenter bf16", "boxes"),
        *("detector fp32", "detector tf32", "detector bf16", "deterministic step"),
        *("s4p ti, checkpointing false", "official algorithm"),
        *("s4p ti, checkpointing true", "s4p ti, checkpointing selective", "moe ti", "detection ti 3"),
    ]


def test_the_same_machine_agrees_with_itself(findings):
    rows = {row["name"]: row for row in findings[1]["rows"]}
    assert rows["segmenter fp32"]["logits"] < 1e-4 and rows["segmenter fp32"]["gradient_cosine"] > 0.9999
    assert 1e-4 < rows["segmenter bf16"]["logits"] < 0.1
    assert rows["boxes"]["iou"] < 1e-6 and rows["boxes"]["same_kept"] and rows["boxes"]["roi_align"] < 1e-5
    plain, half = rows["detector fp32"], rows["detector bf16"]
    assert plain["losses"] == pytest.approx(plain["exact_losses"], rel=1e-3)
    assert plain["gradient_cosine"] > 0.999 and plain["boxes_found"] > 0.9
    assert half["losses"] == pytest.approx(half["exact_losses"], rel=0.2) and half["losses"] != plain["losses"]
    assert rows["deterministic step"]["same_bits"]


def test_steps_are_measured_with_their_waits(findings):
    rows, plain = (
        {row["name"]: row for part in (2, 3) for row in findings[part]["rows"]},
        "s4p ti, checkpointing false",
    )
    assert rows[plain]["pairs_per_second"] > 0 and rows[plain]["waits"] == 0
    assert rows["moe ti"]["waits"] <= 1 < rows["detection ti 3"]["waits"] < 30
    assert rows[plain]["attention"] and rows["official algorithm"]["speed_over_official"] > 0
