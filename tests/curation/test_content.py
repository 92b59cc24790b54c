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
    stripes = np.zeros((4, 6), dtype=np.uint8)
    stripes[:, ::2] = 10
    # Right neighbours always differ (correlation -1), lower ones never (+1).
    assert coherence(Image.fromarray(stripes)) == pytest.approx(0.0, abs=1e-6)
    assert measure_content(np.repeat(stripes[..., None], 3, axis=2)).contrast == pytest.approx(5.0)


@pytest.mark.parametrize("grain", [1, 2, 4, 8])
def test_coarse_noise_is_noise(grain):
    noise = np.random.default_rng(1).integers(0, 256, (256 // grain, 256 // grain), dtype=np.uint8)
    assert coherence(Image.fromarray(noise.repeat(grain, 0).repeat(grain, 1))) < 0.1


def test_small_pictures_are_not_averaged_to_nothing():
    ramp = Image.fromarray(np.tile(np.arange(40, dtype=np.uint8), (40, 1)))
    assert coherence(ramp) == pytest.approx(0.97, abs=0.03)


def test_half_of_the_hash_bits_are_set():
    scene = Image.fromarray(synthetic_scene(96, 0).image)
    assert perceptual_hash(scene).bit_count() == 32
    negative = Image.fromarray(255 - np.asarray(scene.convert("L")))
    assert (perceptual_hash(scene.convert("L")) ^ perceptual_hash(negative)).bit_count() == 64


@pytest.mark.parametrize("level", [0, 77, 255])
def test_blank_pictures_share_a_hash(level):
    assert perceptual_hash(Image.fromarray(np.full((50, 70), level, dtype=np.uint8))) == 0


def test_hash_survives_compression_and_tells_scenes_apart():
    scenes = [synthetic_scene(128, seed).image for seed in range(6)]
    hashes = [measure_content(scene).hash for scene in scenes]
    for scene, value in zip(scenes, hashes, strict=True):
        assert (measure_content(jpeg(scene, 60)).hash ^ value).bit_count() <= 2
    distances = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > 10
