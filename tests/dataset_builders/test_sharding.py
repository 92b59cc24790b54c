import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Features, Image, Value, load_dataset
from PIL import Image as PillowImage

from s5_hf.data.sharding import write_index, write_parquet_shards
from s5_hf.dataset_builders.band_images import BandImage
from s5_hf.dataset_builders.features import unlabelled_features
from s5_hf.files.locks import folder_lock
from s5_hf.synthetic import SCENE_LABELS, write_synthetic_dataset
from tests.band_files import block_bands, write_bands, write_dataset
from tests.dataset_builders.encoded_images import encoded, numbered

FEATURES = Features({"image": Image(), "id": Value("string")})


def samples(count):
    for number in range(count):
        yield {"image": {"bytes": numbered(number), "path": f"folder/{number}.png"}, "id": str(number)}


def test_image_bytes_are_untouched_and_paths_are_names(write_image, tmp_path):
    path = write_image(tmp_path / "raw/a.jpg", size=(40, 30), quality=35)
    dataset = load_dataset("s5-star", data_dir=str(tmp_path / "raw"), split="train", streaming=True)
    (shard,) = write_parquet_shards(dataset, tmp_path / "out")
    assert shard == tmp_path / "out/data/train-00000.parquet"
    (row,) = pq.read_table(shard).to_pylist()
    assert row == {"image": {"bytes": path.read_bytes(), "path": "a.jpg"}, "id": "a", "source": "STAR"}


def test_sizes_of_shards_and_row_groups(tmp_path):
    size = len(numbered(0))
    paths = write_parquet_shards(
        samples(25), tmp_path, features=FEATURES, shard_bytes=10 * size, row_group_bytes=4 * size - 3
    )
    groups = [pq.ParquetFile(path).metadata for path in paths]
    assert [[found.row_group(index).num_rows for index in range(found.num_row_groups)] for found in groups] == [
        [4, 4, 4],
        [4, 4, 4],
        [1],
    ]
    shards = json.loads((tmp_path / "index.json").read_text(encoding="utf-8"))["shards"]
    assert [shard["rows"] for shard in shards] == [[4, 4, 4], [4, 4, 4], [1]]
    assert [shard["bytes"] for shard in shards] == [path.stat().st_size for path in paths]


def test_plain_datasets_streams_the_shards(tmp_path):
    features = unlabelled_features()
    rows = [{"image": {"bytes": numbered(n), "path": None}, "id": str(n), "source": "x"} for n in range(5)]
    for split in ("train", "val"):
        write_parquet_shards(iter(rows), tmp_path, split=split, features=features, shard_bytes=200)
    code = (
        "import sys\nfrom datasets import load_dataset\n"
        f"dataset = load_dataset({str(tmp_path)!r}, split='val', streaming=True)\n"
        "rows = list(dataset)\nassert 's5_hf' not in sys.modules\n"
        "print(dataset.features['image'], [row['id'] for row in rows], rows[3]['image'].getpixel((0, 0)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout == "Image(mode=None, decode=True) ['0', '1', '2', '3', '4'] (3, 0, 0)\n"
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "path: data/train-*.parquet" in card and "path: data/val-*.parquet" in card
    assert "| train | 5 |" in card


def test_detection_columns_survive(tmp_path, write_image):
    write_image(tmp_path / "raw/images/a.png")
    (tmp_path / "raw/labelTxt").mkdir()
    (tmp_path / "raw/labelTxt/a.txt").write_text("0 0 4 0 4 2 0 2 ship 1\n", encoding="utf-8")
    options = {"split": "train", "streaming": True, "classes": ["plane", "ship"]}
    first = load_dataset("s5-oriented", data_dir=str(tmp_path / "raw"), **options)
    write_parquet_shards(first, tmp_path / "out")
    second = load_dataset("s5-oriented", data_dir=str(tmp_path / "out"), **options)
    assert next(iter(second))["objects"] == next(iter(first))["objects"]
    plain = load_dataset(str(tmp_path / "out"), split="train", streaming=True)
    assert plain.features["objects"]["category"].feature.names == ["plane", "ship"]


class Interruption(Exception):
    pass


def interrupted(count, after):
    for number, sample in enumerate(samples(count)):
        if number == after:
            raise Interruption
        yield sample


def test_an_interrupted_job_goes_on(tmp_path):
    size = len(numbered(0))
    options = {"features": FEATURES, "shard_bytes": 4 * size - 3, "row_group_bytes": 2 * size - 3}
    with pytest.raises(Interruption):
        write_parquet_shards(interrupted(20, 14), tmp_path / "a", **options)
    finished = sorted(path.name for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert finished == [".train.progress.json", *(f"train-0000{number}.parquet" for number in range(3))]
    stamp = (tmp_path / "a/data/train-00001.parquet").stat().st_mtime_ns
    resumed = write_parquet_shards(samples(20), tmp_path / "a", **options)
    straight = write_parquet_shards(samples(20), tmp_path / "b", **options)
    assert [path.read_bytes() for path in resumed] == [path.read_bytes() for path in straight]
    assert (tmp_path / "a/data/train-00001.parquet").stat().st_mtime_ns == stamp
    assert (tmp_path / "a/index.json").read_bytes() == (tmp_path / "b/index.json").read_bytes()
    assert not list((tmp_path / "a").rglob("*progress*")) and not list((tmp_path / "a").rglob("*.part"))


def test_an_interrupted_job_of_other_input_is_refused(tmp_path):
    size = len(numbered(0))
    options = {"features": FEATURES, "shard_bytes": 4 * size}
    with pytest.raises(Interruption):
        write_parquet_shards(interrupted(20, 14), tmp_path, row_group_bytes=size, **options)
    others = ({**sample, "id": f"other {sample['id']}"} for sample in samples(20))
    with pytest.raises(ValueError, match=r"other input: .*train-00000.parquet ends with '3'.*'other 3'"):
        write_parquet_shards(others, tmp_path, row_group_bytes=size, **options)


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match=r"an iterable of samples needs features"):
        write_parquet_shards(samples(1), tmp_path)
    with pytest.raises(ValueError, match="sizes must be at least 1 byte, got shard 0"):
        write_parquet_shards(samples(1), tmp_path, features=FEATURES, shard_bytes=0)
    with pytest.raises(ValueError, match="the dataset holds no samples"):
        write_parquet_shards(samples(0), tmp_path, features=FEATURES)
    write_parquet_shards(samples(1), tmp_path, features=FEATURES)
    with pytest.raises(FileExistsError, match="already holds the split train"):
        write_parquet_shards(samples(1), tmp_path, features=FEATURES)


def test_index_of_single_files(tmp_path, write_image):
    write_image(tmp_path / "train/images/a.png")
    write_image(tmp_path / "train/masks/a.png")
    write_index(tmp_path)
    files = json.loads((tmp_path / "index.json").read_text(encoding="utf-8"))["files"]
    assert files == ["train/images/a.png", "train/masks/a.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no files"):
        write_index(tmp_path / "empty")


def test_single_files_over_http(tmp_path, write_image, serve):
    write_image(tmp_path / "train/images/a b.png", size=(2, 1))
    (tmp_path / "train/masks").mkdir()
    (tmp_path / "train/masks/a b.png").write_bytes(encoded(np.array([[1, 2]], dtype=np.uint8)))
    write_index(tmp_path)
    dataset = load_dataset("s5-isaid", data_dir=serve(tmp_path).url, split="train", streaming=True)
    (sample,) = dataset
    assert sample["id"] == "a b" and np.asarray(sample["mask"]).tolist() == [[1, 2]]


def test_two_writers_of_one_folder_do_not_mix_and_leftovers_go(tmp_path):
    leftover = tmp_path / "data" / ".train-00000.parquet.0123456789abcdef.partial"
    leftover.parent.mkdir()
    leftover.write_bytes(b"of a run that was killed, or goes on")
    with folder_lock(tmp_path), pytest.raises(BlockingIOError, match="is in use by another run"):
        write_parquet_shards(samples(3), tmp_path, features=FEATURES)
    assert leftover.exists()
    write_parquet_shards(samples(3), tmp_path, features=FEATURES)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "README.md",
        "data",
        "index.json",
        "train-00000.parquet",
    ]


def test_shards_of_your_own_pictures_need_nothing_of_this_package(tmp_path):
    write_synthetic_dataset(tmp_path / "own/train", count=2, size=64)
    options = {"data_dir": str(tmp_path / "own"), "split": "train", "classes": list(SCENE_LABELS)}
    (shard,) = write_parquet_shards(load_dataset("s5-image-mask", streaming=True, **options), tmp_path / "out")
    assert Features.from_arrow_schema(pq.read_schema(shard))["image"] == Image()


def test_shards_of_deep_images_say_so_and_keep_their_values(tmp_path):
    pytest.importorskip("rasterio")
    options = {"data_dir": str(write_dataset(tmp_path / "own", 2, 1)), "classes": ["soil", "crop", "water"]}
    dataset = load_dataset("s5-image-mask", split="train", streaming=True, **options)
    (shard,) = write_parquet_shards(dataset, tmp_path / "out")
    assert isinstance(Features.from_arrow_schema(pq.read_schema(shard))["image"], BandImage)
    read = next(iter(load_dataset(str(tmp_path / "out"), split="train", streaming=True)))["image"]
    np.testing.assert_array_equal(read.data, next(iter(dataset))["image"].data)


def test_pictures_and_deep_images_do_not_share_shards(tmp_path):
    pytest.importorskip("rasterio")
    deep = write_bands(tmp_path / "deep.tif", block_bands(0)[0])
    images = [{"bytes": numbered(0), "path": "a.png"}, {"bytes": deep.read_bytes(), "path": "deep.tif"}]
    features = Features({"image": BandImage(), "id": Value("string")})
    rows = ({"image": image, "id": str(number)} for number, image in enumerate(images))
    with pytest.raises(ValueError, match=r"deep\.tif is not an 8-bit picture as the first image is"):
        write_parquet_shards(rows, tmp_path / "out", features=features)
    assert not list((tmp_path / "out").rglob("*.parquet"))


@pytest.mark.parametrize("masks", [False, True])
def test_shards_of_deep_images_are_read_by_name(tmp_path, masks):
    pytest.importorskip("rasterio")
    values, mask = block_bands(0)
    image = {"bytes": write_bands(tmp_path / "a.tif", values).read_bytes(), "path": "a.tif"}
    columns = {"image": BandImage(), "id": Value("string")} | ({"pseudo_mask": Image()} if masks else {})
    row = {"image": image, "id": "a"} | ({"pseudo_mask": PillowImage.fromarray(mask)} if masks else {})
    write_parquet_shards(iter([row]), tmp_path / "out", features=Features(columns))
    read = next(iter(load_dataset("rs4p-1m", data_dir=str(tmp_path / "out"), split="train", streaming=True)))
    np.testing.assert_array_equal(read["image"].data, values.transpose(1, 2, 0))
