"""Contrast, coherence and the perceptual hash on pictures whose answers are known."""

import io

import numpy as np
import pytest
from PIL import Image

from s5_hf.curation.content import coherence, measure_content, perceptual_hash
from s5_hf.synthetic import synthetic_scene


def jpeg(pixels, quality):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def test_blank_noise_and_scene_are_told_apart():
    blank = measure_content(np.full((64, 64, 3), 90, dtype=np.uint8))
    noise = measure_content(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    scene = measure_content(synthetic_scene(128, 3).image)
    assert (blank.contrast, blank.coherence) == (0.0, 1.0)
    assert noise.contrast > 30
    assert abs(noise.coherence) < 0.05
    assert scene.contrast > 10
    assert scene.coherence > 0.7


def test_contrast_and_coherence_of_stripes():
    stripes = np.zeros((4, 6), dtype=np.float32)
    stripes[:, ::2] = 10
    # Right neighbours always differ (correlation -1), lower ones never (+1).
    assert coherence(stripes) == pytest.approx(0.0, abs=1e-6)
    assert measure_content(np.repeat(stripes[..., None], 3, axis=2).astype(np.uint8)).contrast == pytest.approx(5.0)


def test_hash_bits():
    rising = np.tile(np.arange(9, dtype=np.uint8) * 20, (8, 1))
    assert perceptual_hash(Image.fromarray(rising)) == 2**64 - 1
    assert perceptual_hash(Image.fromarray(rising[:, ::-1].copy())) == 0
    one = np.zeros((8, 9), dtype=np.uint8)
    one[0, 1] = 255
    assert perceptual_hash(Image.fromarray(one)) == 1 << 63


def test_hash_survives_compression_and_tells_scenes_apart():
    scenes = [synthetic_scene(128, seed).image for seed in range(6)]
    hashes = [measure_content(scene).hash for scene in scenes]
    for scene, value in zip(scenes, hashes, strict=True):
        assert (measure_content(jpeg(scene, 60)).hash ^ value).bit_count() <= 3
    distances = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > 10
