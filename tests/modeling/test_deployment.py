"""What people do with a trained model: pipeline, torch.compile, torch.export."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation, pipeline

from s5_hf.modeling import S5ImageProcessor


def test_pipeline_on_a_local_folder(dense_model, tmp_path):
    dense_model.save_pretrained(tmp_path)
    S5ImageProcessor().save_pretrained(tmp_path)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    segments = pipeline("image-segmentation", model=str(tmp_path), image_processor=str(tmp_path))(image)

    model = AutoModelForSemanticSegmentation.from_pretrained(tmp_path)
    inputs = AutoImageProcessor.from_pretrained(tmp_path)(image, return_tensors="pt")
    with torch.no_grad():
        classes = model(**inputs).logits[0].argmax(dim=0).numpy()
    assert {segment["label"] for segment in segments} == {model.config.id2label[index] for index in np.unique(classes)}
    for segment in segments:
        index = model.config.label2id[segment["label"]]
        np.testing.assert_array_equal(np.asarray(segment["mask"]) > 0, classes == index)


@pytest.fixture
def fresh_compiler():
    """Forget what earlier tests compiled: a second size would otherwise count as a changing one."""
    torch.compiler.reset()


@pytest.mark.usefixtures("fresh_compiler")
def test_compiled_model_gives_the_same_logits(dense_model):
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = dense_model(images).logits
        compiled = torch.compile(dense_model, fullgraph=True)(images).logits
    torch.testing.assert_close(compiled, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("fresh_compiler")
def test_compiled_model_takes_images_of_changing_size(dense_model):
    # This backend captures and traces as inductor does but stops before it writes C++, which takes most of a minute.
    compiled = torch.compile(dense_model, backend="aot_eager", fullgraph=True)
    for size in ((64, 64), (50, 70), (33, 90)):
        images = torch.randn(2, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(compiled(images).logits, dense_model(images).logits, rtol=1e-4, atol=1e-4)


def test_exported_model_gives_the_same_logits(dense_model):
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        program = torch.export.export(dense_model, (images,))
        torch.testing.assert_close(program.module()(images).logits, dense_model(images).logits, rtol=1e-5, atol=1e-5)


def test_merged_experts_export(moe_model):
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        program = torch.export.export(moe_model.merge_experts("roads"), (images,))
        expected = moe_model(images, task="roads").logits
        torch.testing.assert_close(program.module()(images).logits, expected, rtol=1e-4, atol=1e-5)
