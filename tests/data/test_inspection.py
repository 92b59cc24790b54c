"""Inspection counts what is there, names everything that is wrong, and draws what it saw."""

import io
import re
import sys
import tarfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.commands.datasets import inspect_command
from s5_hf.data.contact_sheet import draw_sheet
from s5_hf.data.dataset_folder import decoded_images, open_folder
from s5_hf.data.inspection import inspect_folder
from s5_hf.dataset_builders.registry import get_entry
from s5_hf.preparation import prepare

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
CLASSES = {"classes": ["land", "water", "road"]}


def write_png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_pair(folder: Path, name: str, mask: np.ndarray, split: str = "train") -> None:
    height, width = mask.shape
    write_png(folder / split / "images" / f"{name}.png", np.full((height, width, 3), 90, dtype=np.uint8))
    write_png(folder / split / "masks" / f"{name}.png", mask.astype(np.uint8))


def masks_folder(folder: Path) -> Path:
    write_pair(folder, "a", np.array([[0, 0, 1, 255]]))
    write_pair(folder, "b", np.array([[0, 2, 2, 2], [2, 2, 2, 2]]))
    write_pair(folder, "c", np.array([[1, 1, 1, 1]]), split="val")
    return folder


def boxes_folder(folder: Path, lines: str) -> Path:
    write_png(folder / "train/images/P0000.png", np.full((100, 200, 3), 90, dtype=np.uint8))
    (folder / "train/labelTxt").mkdir(exist_ok=True)
    (folder / "train/labelTxt/P0000.txt").write_text(lines, encoding="utf-8")
    return folder


def inspected(dataset, folder, **options):
    return inspect_folder(open_folder(dataset, folder, options=options))


def kinds(report):
    return [problem.kind for problem in report.problems]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_the_contact_sheet_follows_no_planted_link(tmp_path):
    data, output, precious = masks_folder(tmp_path / "data"), tmp_path / "sheet.png", tmp_path / "precious"
    precious.write_text("kept", encoding="utf-8")
    (tmp_path / ".sheet.png.partial").symlink_to(precious)
    options = ["--data-dir", str(data), "--output", str(output), "--option", 'classes=["land", "water", "road"]']
    assert CliRunner().invoke(app, ["inspect", "s5-image-mask", *options, "--workers", "1"]).exit_code == 0
    assert precious.read_text(encoding="utf-8") == "kept"
    with Image.open(output) as sheet:
        assert sheet.width > 100


def test_counts_sizes_and_shares(tmp_path):
    report = inspected("s5-image-mask", masks_folder(tmp_path), **CLASSES)
    assert report.problems == ()
    train, val = report.splits
    assert (train.split, train.samples, val.split, val.samples) == ("train", 2, "val", 1)
    assert train.sizes == {(4, 1): 1, (4, 2): 1}
    assert train.classes == {0: 3, 1: 1, 2: 7}
    assert train.ignored == 1
    assert [train.share(index) for index in range(3)] == [3 / 11, 1 / 11, 7 / 11]
    assert val.share(1) == 1.0


def test_several_processes_count_the_same(tmp_path):
    for number in range(70):
        write_pair(tmp_path, f"{number:02}", np.full((2, 3), number % 3))
    folder = open_folder("s5-image-mask", tmp_path, options=CLASSES)
    assert len(folder.shards["train"]) == 2
    report = inspect_folder(folder, workers=2)
    assert report == inspect_folder(folder, workers=1)
    assert report.splits[0].classes == {0: 24 * 6, 1: 23 * 6, 2: 23 * 6}


def test_a_limit_looks_at_the_first_samples_of_each_split(tmp_path):
    report = inspect_folder(open_folder("s5-image-mask", masks_folder(tmp_path), options=CLASSES), limit=1)
    assert [split.samples for split in report.splits] == [1, 1]
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        inspect_folder(open_folder("s5-image-mask", tmp_path, options=CLASSES), limit=0)


def test_every_broken_file_is_reported(tmp_path):
    folder = masks_folder(tmp_path)
    write_pair(folder, "wrong_values", np.array([[7, 7, 3, 0]]))
    write_pair(folder, "wrong_size", np.zeros((3, 3)))
    write_png(folder / "train/masks/wrong_size.png", np.zeros((3, 4), dtype=np.uint8))
    write_pair(folder, "no_image", np.zeros((3, 3)))
    (folder / "train/images/no_image.png").write_bytes(b"hello")
    write_pair(folder, "damaged", np.zeros((64, 64)))
    damaged = bytearray((folder / "train/images/damaged.png").read_bytes())
    damaged[45:60] = b"\0" * 15
    (folder / "train/images/damaged.png").write_bytes(damaged)
    report = inspected("s5-image-mask", folder, **CLASSES)
    assert report.splits[0].samples == 3
    messages = {problem.kind: f"{problem.place} {problem.message}" for problem in report.problems}
    assert "wrong_values mask holds 3 in 1 pixels, 7 in 2 pixels; expected 0 to 2, or 255" in messages["mask values"]
    everything = " ".join(f"{problem.place} {problem.message}" for problem in report.problems)
    assert "3 x 3 pixels, its mask 4 x 3" in everything
    assert "no_image.png: not an image" in everything
    assert "damaged its image cannot be decoded" in everything
    assert sorted(kinds(report)) == ["mask values", "sample", "sample", "unreadable"]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_images_of_any_depth_are_counted_by_their_kind(tmp_path, dtype):
    write_pair(tmp_path, "a", np.zeros((3, 3)))
    (tmp_path / "train/images/a.png").unlink()
    Image.fromarray(np.zeros((3, 3), dtype=dtype)).save(tmp_path / "train/images/a.tif")
    report = inspected("s5-image-mask", tmp_path, **CLASSES)
    assert kinds(report) == []
    assert dict(report.splits[0].kinds) == {f"1 x {np.dtype(dtype)}": 1}


def test_jpeg_masks_are_warned_of_and_no_problem(tmp_path):
    folder = tmp_path / "jpeg"
    write_pair(folder, "a", np.zeros((16, 16)))
    write_pair(folder, "b", np.zeros((16, 16)))
    (folder / "train/masks/b.png").unlink()
    Image.fromarray(np.ones((16, 16), dtype=np.uint8)).save(folder / "train/masks/b.jpg")
    arguments = ["inspect", "s5-image-mask", "--data-dir", str(folder)]
    result = CliRunner().invoke(app, [*arguments, "--option", 'classes=["land", "water", "road"]'])
    assert result.exit_code == 0, result.output
    assert "Warning: train: JPEG masks: 1. JPEG changes values" in result.output
    assert "No problems." in result.output
    assert inspected("s5-image-mask", masks_folder(tmp_path / "png"), **CLASSES).warnings == []


def test_boxes_are_counted_and_those_outside_reported(tmp_path):
    folder = boxes_folder(
        tmp_path,
        "imagesource:GoogleEarth\n10 10 30 10 30 20 10 20 ship 0\n10 40 30 40 30 50 10 50 ship 1\n"
        "190 10 204 10 204 20 190 20 plane 0\n190 40 210 40 210 50 190 50 plane 0\n5 5 5 5 5 5 5 5 plane 0\n",
    )
    report = inspected("s5-oriented", folder, classes=["plane", "ship"])
    (train,) = report.splits
    assert train.classes == {0: 3, 1: 2}
    assert (train.ignored, train.without_boxes) == (1, 0)
    outside, flat = report.problems
    assert (outside.kind, outside.place) == ("box outside", "P0000")
    assert outside.message.startswith("box 4, 50% of it inside 200 x 100 px, corners [190.0, 40.0, 210.0")
    assert (flat.kind, flat.message) == ("box without area", "box 5, corners [5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]")


def test_a_broken_annotation_is_reported_with_its_line(tmp_path):
    report = inspected("s5-oriented", boxes_folder(tmp_path, "1 2 3\n"), classes=["plane"])
    assert kinds(report) == ["sample"]
    assert "P0000.txt, line 1" in report.problems[0].message


def test_duplicate_ids_are_reported(tmp_path):
    for shard in ("0.tar", "1.tar"):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, "PNG")
        with tarfile.open(tmp_path / shard, "w") as archive:
            member = tarfile.TarInfo("same.png")
            member.size = len(buffer.getvalue())
            archive.addfile(member, io.BytesIO(buffer.getvalue()))
    report = inspected("rs4p-1m", tmp_path)
    assert [(problem.kind, problem.place) for problem in report.problems] == [("duplicate id", "same")]
    assert report.splits[0].samples == 2


def test_unknown_names_list_the_known(tmp_path):
    with pytest.raises(KeyError, match="s5-potsdam"):
        open_folder("potsdam", tmp_path)
    with pytest.raises(ValueError, match=r"no configuration 'v9'; known: v2\.0, v1\.5, v1\.0"):
        open_folder("s5-dota", tmp_path, config="v9")
    with pytest.raises(ValueError, match="has no split 'test'; it has train, val"):
        open_folder("s5-image-mask", masks_folder(tmp_path), split="test", options=CLASSES)
    with pytest.raises(ValueError, match=r"takes no option 'klasses'; it takes bands, classes, colours"):
        open_folder("s5-image-mask", tmp_path, options={"klasses": ["land"]})


def test_the_ignore_index_is_that_of_the_options(tmp_path):
    write_pair(tmp_path, "a", np.array([[0, 9, 9]]))
    report = inspected("s5-image-mask", tmp_path, **CLASSES, ignore_index=9)
    assert report.problems == ()
    assert (report.splits[0].ignored, dict(report.splits[0].classes)) == (2, {0: 1})


def test_sheet_shows_image_and_mask_side_by_side(tmp_path):
    sheet = draw_sheet(open_folder("s5-image-mask", masks_folder(tmp_path), options=CLASSES), samples=4)
    # Two samples of train and one of val, an image and an overlay each, in rows of four tiles.
    assert sheet.height > 2 * 320
    assert sheet.width > 4 * 320
    colors = {color for _, color in sheet.getcolors(1 << 24)}
    assert (90, 90, 90) in colors
    assert len(colors) > 4


def test_sheet_draws_boxes_where_they_are(tmp_path):
    folder = boxes_folder(tmp_path, "50 25 150 25 150 75 50 75 ship 0\n")
    sheet = np.asarray(draw_sheet(open_folder("s5-oriented", folder, options={"classes": ["ship"]})))
    drawn = np.argwhere((sheet[:170, :336] != 90).any(axis=2) & (sheet[:170, :336] != 255).any(axis=2))
    # The image is 320 x 160 on the sheet: a quarter of the way in on each side.
    assert np.abs(np.ptp(drawn, axis=0)[1] - 160) <= 4


def test_sheet_of_nothing_readable(tmp_path):
    write_pair(tmp_path, "a", np.zeros((3, 3)))
    (tmp_path / "train/images/a.png").write_bytes(b"hello")
    with pytest.raises(ValueError, match="No sample of s5-image-mask can be drawn"):
        draw_sheet(open_folder("s5-image-mask", tmp_path, options=CLASSES))


@pytest.mark.parametrize(("dataset", "expected"), [("s5-potsdam", 4), ("s5-vaihingen", 1), ("s5-isaid", 4)])
def test_prepared_crops_are_read_by_their_builder(tmp_path, dataset, expected):
    raw = tmp_path / "raw"
    if dataset == "s5-potsdam":
        write_png(raw / "top_potsdam_2_10_RGB.tif", np.full((600, 600, 3), 80, dtype=np.uint8))
        write_png(raw / "top_potsdam_2_10_label.tif", np.full((600, 600, 3), (255, 255, 0), dtype=np.uint8))
    elif dataset == "s5-vaihingen":
        write_png(raw / "top/top_mosaic_09cm_area2.tif", np.full((512, 512, 3), 80, dtype=np.uint8))
        write_png(raw / "gts/top_mosaic_09cm_area2.tif", np.full((512, 512, 3), (255, 255, 0), dtype=np.uint8))
    else:
        write_png(raw / "train/images/P0000.png", np.full((1024, 1024, 3), 80, dtype=np.uint8))
        label = np.full((1024, 1024, 3), (0, 63, 127), dtype=np.uint8)
        write_png(raw / "train/Semantic_masks/images/P0000_instance_color_RGB.png", label)
    prepare(dataset, raw, tmp_path / "out", workers=1)
    report = inspected(dataset, tmp_path / "out")
    assert report.problems == ()
    assert [split.samples for split in report.splits] == [expected]
    assert report.splits[0].classes == {4: expected * 512 * 512}
    assert report.splits[0].ignored == 0


def test_prepared_patches_are_read_by_their_builder(tmp_path):
    write_png(tmp_path / "raw/train/images/P0000.png", np.full((1024, 1500, 3), 80, dtype=np.uint8))
    (tmp_path / "raw/train/labelTxt").mkdir()
    (tmp_path / "raw/train/labelTxt/P0000.txt").write_text("600 10 630 10 630 20 600 20 ship 0\n", encoding="utf-8")
    write_png(tmp_path / "raw/test/images/P0001.png", np.full((30, 40, 3), 80, dtype=np.uint8))
    prepare("s5-dota", tmp_path / "raw", tmp_path / "out", workers=1)
    report = inspected("s5-dota", tmp_path / "out")
    assert report.problems == ()
    assert [(split.split, split.samples, dict(split.classes)) for split in report.splits] == [
        ("train", 2, {5: 2}),
        ("test", 1, {}),
    ]


def test_command_prints_counts_and_fails_on_problems(tmp_path):
    runner = CliRunner()
    arguments = ["inspect", "s5-image-mask", "--data-dir", str(masks_folder(tmp_path / "data"))]
    arguments += ["--option", 'classes=["land", "water", "road"]', "--output", str(tmp_path / "new/sheet.png")]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "No problems." in result.output
    assert "63.64%" in result.output
    with Image.open(tmp_path / "new/sheet.png") as sheet:
        assert sheet.format == "PNG"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sheet.png"]

    write_pair(tmp_path / "data", "bad", np.full((2, 2), 9))
    result = runner.invoke(app, arguments)
    assert result.exit_code == 1
    assert "mask values: train bad: mask holds 9 in 4 pixels" in result.output
    assert "1 problem:" in result.output

    write_pair(tmp_path / "data", "worse", np.full((2, 2), 9))
    assert "2 problems:" in runner.invoke(app, arguments).output


def test_every_option_in_the_help_of_inspect_exists():
    """The examples name options of the builder of the dataset that they are for."""
    text = inspect_command.__doc__
    examples = re.findall(r"s5-hf inspect (\S+) .*--option '(\w+)=", text)
    assert examples
    for dataset, option in examples:
        known = {field.name for field in fields(get_entry(dataset).builder_class().BUILDER_CONFIG_CLASS)}
        assert option in known


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_no_partial_file_stays_of_a_sheet_that_is_not_finished(tmp_path, monkeypatch, error):
    def save_half(image, place, **options):
        Path(place).write_bytes(b"half")
        raise error

    arguments = ["inspect", "s5-image-mask", "--data-dir", str(masks_folder(tmp_path / "data"))]
    arguments += ["--option", 'classes=["land", "water", "road"]', "--output", str(tmp_path / "new/sheet.png")]
    monkeypatch.setattr(Image.Image, "save", save_half)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0
    assert list((tmp_path / "new").iterdir()) == []


def test_command_refuses_an_option_without_value(tmp_path):
    result = CliRunner().invoke(app, ["inspect", "s5-oriented", "--data-dir", str(tmp_path), "--option", "classes"])
    assert result.exit_code == 2
    assert "name=value" in result.output


def test_the_list_of_datasets_names_all():
    from s5_hf.dataset_builders.registry import REGISTRY

    result = CliRunner().invoke(app, ["datasets"])
    assert result.exit_code == 0
    assert all(name in result.output for name in REGISTRY)
    assert "v1.5: 16" in result.output


@pytest.mark.parametrize(
    ("dataset", "folder", "options", "samples"),
    [
        ("s5-image-mask", "massroads", {"classes": ["background", "road"]}, [55, 17]),
        ("s5-loveda", "benchmark_samples/loveda", {}, [2, 1]),
        ("s5-dota", "dota_samples", {}, [12]),
        ("s5-million-aid", "rsscn7", {}, [140]),
    ],
)
def test_real_folders_are_sound(dataset, folder, options, samples):
    if not (SHARED / folder).is_dir():
        pytest.skip(f"real imagery is not beside this checkout ({folder})")
    report = inspected(dataset, SHARED / folder, **options)
    assert report.problems == ()
    assert [split.samples for split in report.splits] == samples


def test_both_dates_of_pairs_are_checked_counted_and_drawn(tmp_path):
    for name in "ab":
        for date, value in (("before", 40), ("after", 200)):
            write_png(tmp_path / f"train/{date}/{name}.png", np.full((2, 3, 3), value, dtype=np.uint8))
        write_png(tmp_path / f"train/mask/{name}.png", np.array([[0, 255, 0], [0, 0, 0]], dtype=np.uint8))
    damaged = tmp_path / "train/after/b.png"
    sound = damaged.read_bytes()
    damaged.write_bytes(sound[:50] + b"\0" * 8 + sound[58:])
    folder = open_folder("s5-image-pair-mask", tmp_path)
    report = inspect_folder(folder)
    assert [(problem.kind, problem.place) for problem in report.problems] == [("unreadable", "b")]
    assert report.problems[0].message.startswith("its image after cannot be decoded")
    assert report.splits[0].classes == {0: 5, 1: 1} and report.splits[0].samples == 1
    damaged.write_bytes(sound)
    sheet = np.asarray(draw_sheet(open_folder("s5-image-pair-mask", tmp_path)))
    assert (sheet == 40).all(axis=2).sum() > 10_000 and (sheet == 200).all(axis=2).sum() > 10_000
    images = decoded_images(folder, "train")
    assert [np.asarray(images[index]["image"]).max() for index in range(len(images))] == [40, 200, 40, 200]


def test_classes_of_both_dates_are_counted_once_each(tmp_path):
    for date in "12":
        write_png(tmp_path / f"im{date}/a.png", np.zeros((1, 3, 3), dtype=np.uint8))
    write_png(tmp_path / "label1/a.png", np.array([[0, 1, 0]], dtype=np.uint8))
    write_png(tmp_path / "label2/a.png", np.array([[0, 5, 5]], dtype=np.uint8))
    report = inspected("s5-second", tmp_path)
    assert report.problems == () and report.splits[0].classes == {0: 3, 1: 1, 5: 2}
