"""Synthetic scenes: the same from the same seed, and image, mask and boxes that agree."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from s5_hf.imaging.drawing import oriented_box_corners
from s5_hf.synthetic import (
    BOX_LABELS,
    SCENE_LABELS,
    SCENE_PALETTE,
    SyntheticScene,
    files,
    synthetic_dataset,
    synthetic_scene,
    write_synthetic_dataset,
)

sizes = st.one_of(st.integers(64, 260), st.tuples(st.integers(64, 260), st.integers(64, 260)))
seeds = st.integers(0, 2**63)


def inside(box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre lies in a box."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    cx, cy, w, h, theta = box.astype(np.float64)
    u = (x - cx) * math.cos(theta) + (y - cy) * math.sin(theta)
    v = (y - cy) * math.cos(theta) - (x - cx) * math.sin(theta)
    return (np.abs(u) <= w / 2) & (np.abs(v) <= h / 2)


def equal(first: SyntheticScene, second: SyntheticScene) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("image", "mask", "boxes", "box_labels")
    )


@pytest.fixture(scope="module")
def scenes() -> list[SyntheticScene]:
    return [synthetic_scene(512, seed) for seed in range(8)]


@given(sizes, seeds)
@settings(max_examples=25, deadline=None)
def test_every_size_and_seed_gives_a_sound_scene(size: int | tuple[int, int], seed: int) -> None:
    scene = synthetic_scene(size, seed)
    shape = (size, size) if isinstance(size, int) else size
    assert scene.image.shape == (*shape, 3)
    assert scene.mask.shape == shape
    assert (scene.image.dtype, scene.mask.dtype) == (np.uint8, np.uint8)
    assert (scene.boxes.dtype, scene.box_labels.dtype) == (np.float32, np.int64)
    assert scene.boxes.shape == (len(scene.box_labels), 5)
    assert scene.seed == seed
    assert scene.mask.max() < len(SCENE_LABELS)
    assert 5 < scene.image.std() < 100
    assert 30 < scene.image.mean() < 220


@given(sizes, seeds)
@settings(max_examples=8, deadline=None)
def test_one_seed_gives_one_scene_and_another_seed_another(size: int | tuple[int, int], seed: int) -> None:
    scene = synthetic_scene(size, seed)
    assert equal(scene, synthetic_scene(size, seed))
    assert not np.array_equal(scene.image, synthetic_scene(size, seed + 1).image)


@pytest.mark.parametrize("size", [(64, 2048), (2048, 64)])
def test_long_strips(size: tuple[int, int]) -> None:
    assert synthetic_scene(size, 1).mask.shape == size


def test_boxes_lie_inside_the_image(scenes: list[SyntheticScene]) -> None:
    for scene in scenes:
        corners = oriented_box_corners(scene.boxes)
        assert corners.min() >= 0
        assert corners.max() <= 512


def test_boxes_are_in_normal_form(scenes: list[SyntheticScene]) -> None:
    boxes = np.concatenate([scene.boxes for scene in scenes])
    assert (boxes[:, 2] >= boxes[:, 3]).all()
    assert boxes[:, 4].min() >= np.float32(-math.pi / 2)
    assert boxes[:, 4].max() < np.float32(math.pi / 2)
    # Roads bend and lie at any angle, and so do the houses along them.
    assert np.histogram(boxes[:, 4], bins=6, range=(-math.pi / 2, math.pi / 2))[0].min() > 20


@pytest.mark.parametrize("label", range(len(BOX_LABELS)), ids=BOX_LABELS)
def test_each_box_covers_its_pixels_in_the_mask(scenes: list[SyntheticScene], label: int) -> None:
    class_id = SCENE_LABELS.index(BOX_LABELS[label])
    for scene in scenes[:4]:
        union = np.zeros(scene.mask.shape, dtype=bool)
        for box in scene.boxes[scene.box_labels == label]:
            pixels = inside(box, scene.mask.shape)
            assert (scene.mask[pixels] == class_id).mean() > 0.99
            assert not (union & pixels).any()
            union |= pixels
        of_class = scene.mask == class_id
        assert (union & of_class).sum() / (union | of_class).sum() > 0.995


def test_objects_have_the_size_they_have_in_the_world(scenes: list[SyntheticScene]) -> None:
    boxes = np.concatenate([scene.boxes for scene in scenes])
    labels = np.concatenate([scene.box_labels for scene in scenes])
    metres = boxes[:, 2:4] * 0.5
    cars, roofs = metres[labels == 1], metres[labels == 0]
    assert 4 < np.median(cars[:, 0]) < 5
    assert 1.7 < np.median(cars[:, 1]) < 2.2
    assert 3 < roofs.max() < 60
    assert 8 < np.median(roofs[:, 0]) < 20


def test_cars_stand_on_paved_ground(scenes: list[SyntheticScene]) -> None:
    road = SCENE_LABELS.index("road")
    for scene in scenes[:4]:
        for box in scene.boxes[scene.box_labels == 1]:
            around = inside(box + np.array([0, 0, 4, 4, 0], dtype=np.float32), scene.mask.shape)
            around &= ~inside(box, scene.mask.shape)
            assert (scene.mask[around] == road).any()


def test_most_scenes_show_every_class_and_none_rules(scenes: list[SyntheticScene]) -> None:
    shares = np.array([np.bincount(scene.mask.ravel(), minlength=6) / scene.mask.size for scene in scenes])
    assert ((shares > 0.0005).all(axis=1)).mean() >= 0.75
    assert shares.max() < 0.9
    assert shares.mean(axis=0).min() > 0.002


def test_classes_look_different_on_average_but_overlap(scenes: list[SyntheticScene]) -> None:
    """Water is darker than roads and trees than fields, yet no threshold on brightness divides them."""
    image = np.concatenate([scene.image.reshape(-1, 3) for scene in scenes]).mean(axis=-1)
    mask = np.concatenate([scene.mask.ravel() for scene in scenes])
    field, road, _, water, tree, _ = (image[mask == class_id] for class_id in range(6))
    assert road.mean() > water.mean() + 20
    assert field.mean() > tree.mean() + 20
    assert np.percentile(tree, 90) > np.percentile(field, 10)


def test_seeds_differ_in_light_and_colour(scenes: list[SyntheticScene]) -> None:
    means = np.array([scene.image.mean(axis=(0, 1)) for scene in scenes])
    assert (means.std(axis=0) > 4).all()


def test_palette_names_every_class_with_its_own_colour() -> None:
    assert len(set(SCENE_PALETTE)) == len(SCENE_LABELS)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"size": 63}, ValueError, "64 to 4096 pixels, got 63"),
        ({"size": (64, 5000)}, ValueError, r"got \(64, 5000\)"),
        ({"size": 512.0}, TypeError, r"got 512\.0"),
        ({"size": (64, 64, 3)}, TypeError, "height, width"),
        ({"seed": -1}, ValueError, "got -1"),
        ({"seed": "one"}, TypeError, "str"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        synthetic_scene(**arguments)
    with pytest.raises(error, match=message):
        synthetic_dataset(2, **arguments)


def test_a_dataset_is_made_of_scenes_that_can_be_made_again() -> None:
    three = list(synthetic_dataset(3, size=(64, 80), seed=5))
    five = list(synthetic_dataset(5, size=(64, 80), seed=5))
    assert all(equal(first, second) for first, second in zip(three, five, strict=False))
    assert equal(three[2], synthetic_scene((64, 80), three[2].seed))
    assert len({scene.seed for scene in five}) == 5
    assert {scene.seed for scene in five}.isdisjoint(scene.seed for scene in synthetic_dataset(5, (64, 80), seed=6))
    with pytest.raises(ValueError, match="count must not be negative, got -1"):
        synthetic_dataset(-1)
    with pytest.raises(TypeError, match="float"):
        synthetic_dataset(2.0)


class TestFiles:
    def test_files_hold_the_scenes(self, tmp_path: Path) -> None:
        folder = write_synthetic_dataset(tmp_path / "new" / "scenes", count=2, size=160, seed=3)
        assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
            "images/scene_000000.png",
            "images/scene_000001.png",
            "labelTxt/scene_000000.txt",
            "labelTxt/scene_000001.txt",
            "masks/scene_000000.png",
            "masks/scene_000001.png",
            "synthetic.json",
        ]
        for index, scene in enumerate(synthetic_dataset(2, 160, 3)):
            with Image.open(folder / "images" / f"scene_{index:06d}.png") as image:
                assert np.array_equal(np.asarray(image), scene.image)
            with Image.open(folder / "masks" / f"scene_{index:06d}.png") as mask:
                assert mask.mode == "L"
                assert np.array_equal(np.asarray(mask), scene.mask)
            text = (folder / "labelTxt" / f"scene_{index:06d}.txt").read_text(encoding="utf-8")
            rows = [line.split() for line in text.splitlines()]
            assert [row[8:] for row in rows] == [[BOX_LABELS[label], "0"] for label in scene.box_labels]
            written = np.array([row[:8] for row in rows], dtype=np.float64).reshape(-1, 4, 2)
            np.testing.assert_allclose(written, oriented_box_corners(scene.boxes), atol=0.0051)
        description = json.loads((folder / "synthetic.json").read_text(encoding="utf-8"))
        assert description["labels"] == list(SCENE_LABELS)

    def test_an_interrupted_call_goes_on(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[int] = []

        def interrupted_scene(size: int, seed: int) -> SyntheticScene:
            if len(made) == 2:
                raise KeyboardInterrupt
            made.append(seed)
            return synthetic_scene(size, seed)

        monkeypatch.setattr(files, "synthetic_scene", interrupted_scene)
        with pytest.raises(KeyboardInterrupt):
            write_synthetic_dataset(tmp_path, count=3, size=64, seed=0)
        assert len(list(tmp_path.glob("images/*"))) == 2
        first = made.copy()
        made.clear()
        write_synthetic_dataset(tmp_path, count=3, size=64, seed=0)
        assert len(made) == 1
        assert made[0] not in first
        assert len(list(tmp_path.glob("labelTxt/*.txt"))) == 3

    def test_nothing_half_written_stays(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full_disk(self: Path, content: bytes) -> int:
            with self.open("wb") as file:
                file.write(content[:10])
            raise OSError("No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(OSError, match="No space left"):
            write_synthetic_dataset(tmp_path, count=1, size=64)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_other_content_is_left_alone(self, tmp_path: Path) -> None:
        write_synthetic_dataset(tmp_path / "scenes", count=1, size=64, seed=0)
        with pytest.raises(FileExistsError, match=r"other synthetic scenes.*'seed': 0.*'seed': 1"):
            write_synthetic_dataset(tmp_path / "scenes", count=1, size=64, seed=1)
        with pytest.raises(FileExistsError, match="not empty"):
            write_synthetic_dataset(tmp_path, count=1, size=64)
        (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
        with pytest.raises(NotADirectoryError, match=r"notes\.txt is a file"):
            write_synthetic_dataset(tmp_path / "notes.txt", count=1, size=64)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "scenes"]
