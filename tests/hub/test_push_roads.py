"""A pushed road model: its card, and that it loads with its code where s5_hf is not installed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import ModelCard

from s5_hf.hub import stage_for_hub
from s5_hf.modeling import SamRoadProcessor
from tests.hub.test_push import NO_S5_HF, minimal_environment
from tests.modeling.test_samroad import micro_model

WITHOUT_S5_HF = (
    NO_S5_HF
    + """
import numpy, torch
from transformers import AutoModel
from transformers.models.auto.image_processing_auto import AutoImageProcessor

staged, output = sys.argv[1:]
model = AutoModel.from_pretrained(staged, trust_remote_code=True).eval()
processor = AutoImageProcessor.from_pretrained(staged, trust_remote_code=True)
image = numpy.arange(64 * 64 * 3, dtype=numpy.uint8).reshape(64, 64, 3)
with torch.no_grad():
    outputs = model(**processor(image, return_tensors="pt"))
keypoints, roads = processor.post_process_road_masks(outputs, 0.5, 0.5)
numpy.savez(output, probabilities=outputs.probabilities, keypoints=keypoints, roads=roads)
"""
)


def test_a_staged_road_model_loads_without_s5_hf(own_folders: Path, one_thread: None):
    model = micro_model().eval()
    model.save_pretrained("roads")
    SamRoadProcessor().save_pretrained("roads")
    staged = own_folders / "staged"
    staged.mkdir()
    stage_for_hub("roads", staged, "me/roads")
    environment = {**minimal_environment(), "HF_HOME": str(own_folders / "home"), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", WITHOUT_S5_HF, str(staged), "out.npz"], env=environment, check=True, timeout=120
    )
    found = np.load("out.npz")
    image = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
    with torch.no_grad():
        expected = model(**SamRoadProcessor()(image, return_tensors="pt")).probabilities.numpy()
    np.testing.assert_array_equal(found["probabilities"], expected)
    assert (found["roads"] == (expected[:, 1] > 0.5)).all() and (found["keypoints"] == (expected[:, 0] > 0.5)).all()
    card = ModelCard.load(staged / "README.md")
    assert "road-graph" in card.data.tags and "SAM-Road++" in card.text and "outputs.probabilities[0]" in card.text
