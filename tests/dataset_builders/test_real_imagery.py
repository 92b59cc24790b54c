"""The real imagery beside the repository goes through the builders; skipped where it is not there."""

import numpy as np
import pytest
from datasets import load_dataset

from s5_hf.dataset_builders.oriented_geometry import boxes_to_polygons
from s5_hf.dataset_builders.registry import get_entry

CITY = ["other_land", "building", "road", "park", "water"]
HIT_UAV = ["Person", "Car", "Bicycle", "OtherVehicle"]


def shares(sample):
    """Share of each class id among the pixels."""
    return np.bincount(np.asarray(sample["mask"]).ravel()) / np.asarray(sample["mask"]).size


def load(name, folder, split, **options):
    return load_dataset(name, data_dir=str(folder), split=split, streaming=True, **options)


def values_of(samples):
    return sorted({int(value) for sample in samples for value in np.unique(np.asarray(sample["mask"]))})


@pytest.mark.parametrize(
    ("name", "split", "ids", "values"),
    [
        ("loveda", "train", ["Rural/0", "Urban/1"], [0, 1, 2, 3, 5, 6]),
        ("loveda", "val", ["Urban/2"], [0, 3, 5, 6]),
        ("potsdam", "train", ["2_10_0_0_512_512"], [0, 1, 2, 3, 4, 5]),
        ("vaihingen", "train", ["area1_0_0_512_512"], [0, 1, 2, 3, 4, 5]),
    ],
)
def test_benchmark_samples(name, split, ids, values, shared_data):
    samples = list(load(f"s5-{name}", shared_data / "benchmark_samples" / name, split))
    assert [sample["id"] for sample in samples] == ids
    assert all(sample["image"].mode == "RGB" and sample["image"].size == sample["mask"].size for sample in samples)
    assert values_of(samples) == values


@pytest.mark.parametrize(("name", "building", "car"), [("potsdam", 0.244, 0.030), ("vaihingen", 0.305, 0.016)])
def test_isprs_samples_mean_what_the_pictures_show(name, building, car, shared_data):
    """Roofs and cars are seen in the pictures at these shares; the stored masks count from 1."""
    (sample,) = load(f"s5-{name}", shared_data / "benchmark_samples" / name, "train")
    assert shares(sample)[1] == pytest.approx(building, abs=1e-3)
    assert shares(sample)[4] == pytest.approx(car, abs=1e-3)


@pytest.mark.parametrize(
    ("folder", "split", "count", "size", "classes", "values"),
    [
        ("citymaps", "val", 80, (600, 600), CITY, [0, 1, 2, 3, 4]),
        ("massroads", "train", 55, (512, 512), ["background", "road"], [0, 1, 255]),
        ("massroads", "val", 17, (512, 512), ["background", "road"], [0, 1, 255]),
    ],
)
def test_image_mask_folders(folder, split, count, size, classes, values, shared_data):
    samples = list(load("s5-image-mask", shared_data / folder, split, classes=classes, ignore_values=[255]))
    assert len(samples) == count
    assert {sample["image"].size for sample in samples} == {size}
    assert values_of(samples) == values


def test_rsscn7_is_unlabelled_with_its_folders_as_sources(shared_data):
    samples = list(load("s5-million-aid", shared_data / "rsscn7", "train"))
    assert len(samples) == 140 and len({sample["id"] for sample in samples}) == 140
    assert len({sample["source"] for sample in samples}) == 7
    assert {sample["image"].size for sample in samples} == {(400, 400)}


@pytest.mark.parametrize(("split", "count"), [("train", 160), ("val", 48)])
def test_hit_uav(split, count, shared_data):
    options = {"classes": HIT_UAV, "ignored_classes": ["DontCare"]}
    samples = list(load("s5-oriented", shared_data / "hituav", split, **options))
    assert len(samples) == count
    boxes = np.concatenate([np.reshape(sample["objects"]["obb"], (-1, 5)) for sample in samples])
    polygons = np.concatenate([np.reshape(sample["objects"]["polygon"], (-1, 8)) for sample in samples])
    assert len(boxes) == {"train": 1412, "val": 432}[split]
    # HIT-UAV annotates rectangles, which a box has to give back corner by corner.
    corners, wanted = boxes_to_polygons(boxes).reshape(-1, 1, 4, 2), polygons.reshape(-1, 4, 1, 2)
    assert np.linalg.norm(corners - wanted, axis=-1).min(axis=1).max() < 0.5


def test_dota_files_with_their_header_lines(shared_data):
    samples = list(load("s5-dota", shared_data / "dota_samples", "train"))
    names = get_entry("s5-dota").labels
    counts = dict.fromkeys(names, 0)
    for sample in samples:
        for category in sample["objects"]["category"]:
            counts[names[category]] += 1
    assert len(samples) == 12
    assert {name: count for name, count in counts.items() if count} == {
        "ship": 636,
        "large-vehicle": 177,
        "small-vehicle": 53,
        "harbor": 10,
        "baseball-diamond": 4,
        "tennis-court": 8,
        "basketball-court": 3,
        "plane": 2,
        "soccer-ball-field": 1,
        "swimming-pool": 1,
    }
