"""A pushed detector: its card, and that it loads with its code where s5_hf is not installed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import ModelCard

from s5_hf.hub import stage_for_hub
from s5_hf.modeling import S5ForOrientedObjectDetection, S5ImageProcessor
from tests.conftest import randomise
from tests.hub.test_push import NO_S5_HF, minimal_environment
from tests.modeling.detection_models import micro_detection_config

WITHOUT_S5_HF = (
    NO_S5_HF
    + """
import numpy, torch
from transformers import AutoModelForObjectDetection
from transformers.models.auto.image_processing_auto import AutoImageProcessor

staged, pixels, output = sys.argv[1:]
model = AutoModelForObjectDetection.from_pretrained(staged, trust_remote_code=True)
processor = AutoImageProcessor.from_pretrained(staged, trust_remote_code=True)
with torch.no_grad():
    outputs = model(torch.from_numpy(numpy.load(pixels)), task="roofs")
    merged = model.merge_experts("roofs")(torch.from_numpy(numpy.load(pixels)))
found = processor.post_process_oriented_object_detection(outputs, threshold=0.3)[0]
numpy.savez(output, merged=merged.pred_boxes[0], **found)
"""
)


def test_a_staged_detector_loads_without_s5_hf(own_folders: Path, one_thread: None):
    model = randomise(S5ForOrientedObjectDetection(micro_detection_config(num_experts=2))).eval()
    model.save_pretrained("detector")
    S5ImageProcessor().save_pretrained("detector")
    staged = own_folders / "staged"
    staged.mkdir()
    stage_for_hub("detector", staged, "me/detector", metrics={"roofs": {"AP50": 71.5}})
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    np.save("pixels.npy", pixels.numpy())
    environment = {**minimal_environment(), "HF_HOME": str(own_folders / "home"), "OMP_NUM_THREADS": "1"}
    arguments = [str(staged), "pixels.npy", "out.npz"]
    subprocess.run([sys.executable, "-c", WITHOUT_S5_HF, *arguments], env=environment, check=True, timeout=120)

    results = np.load("out.npz")
    with torch.no_grad():
        outputs = model(pixels, task="roofs")
    expected = S5ImageProcessor().post_process_oriented_object_detection(outputs, threshold=0.3)[0]
    assert len(expected["scores"]) > 0
    for name, values in expected.items():
        np.testing.assert_array_equal(results[name], values.numpy())
    assert results["merged"].shape == tuple(outputs.pred_boxes[0].shape)

    card = ModelCard.load(staged / "README.md")
    assert card.data.pipeline_tag == "object-detection"
    assert "oriented-object-detection" in card.data.tags
    assert "| task | classes |" in card.text and "| roofs | 0 roof |" in card.text
    assert "| roofs | AP50 | 71.5 |" in card.text
    assert "Oriented object detection in remote-sensing images" in card.text
    assert "post_process_oriented_object_detection(outputs, threshold=0.5)" in card.text
