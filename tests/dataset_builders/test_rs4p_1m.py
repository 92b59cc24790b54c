"""RS4P-1M in its three forms, from disk, over http and through a remote file system."""

import json

import fsspec
import numpy as np
import pytest
from datasets import load_dataset

from s5_hf.data.sharding import write_index, write_parquet_shards
from s5_hf.dataset_builders.dataset_blocks import blocks_of
from s5_hf.dataset_builders.errors import LayoutError, SampleError, ShardReadError
from s5_hf.dataset_builders.shards import SingleFiles
from s5_hf.dataset_builders.storage import Storage
from tests.dataset_builders.encoded_images import encoded, numbered

COLUMNS = ["image", "id", "source", "pseudo_mask", "entropy", "cluster"]
QUICK = {"retry_wait": 0.01, "read_attempts": 3}


def load(folder, **options):
    return list(load_dataset("rs4p-1m", data_dir=str(folder), split="train", streaming=True, **options))


def numbers(samples):
    return [int(np.asarray(sample["image"])[0, 0, 0]) for sample in samples]


@pytest.fixture
def release(numbered_images, write_image, tmp_path):
    """Five images with pseudo-masks and a split list in another order."""
    numbered_images(5)
    for number in range(5):
        write_image(tmp_path / f"masks/{number:03d}.png", np.full((4, 4), number, dtype=np.uint8))
    order = [3, 1, 4, 0, 2]
    lines = "".join(f"images/{number:03d}.png masks/{number:03d}.png\n" for number in order)
    (tmp_path / "train.txt").write_text(lines, encoding="utf-8")
    return tmp_path, order


@pytest.fixture
def tar_shards(write_tar, tmp_path):
    """150 samples in two tar files, with masks and facts for the even ones."""
    for shard in range(2):
        members = []
        for number in range(shard * 75, shard * 75 + 75):
            members.append((f"x/{number:03d}.png", numbered(number)))
            if number % 2 == 0:
                members.append((f"x/{number:03d}.mask.png", encoded(np.full((4, 4), number % 16, dtype=np.uint8))))
                facts = {"entropy": number / 100, "cluster": number % 7, "source": "SAMRS"}
                members.append((f"x/{number:03d}.json", json.dumps(facts).encode()))
        write_tar(tmp_path / f"shards/rs4p-{shard:05d}.tar", members)
    return tmp_path / "shards"


def test_samples_of_a_split_list_are_single_files_for_those_who_list_them(release):
    folder, order = release
    (block,) = blocks_of(load_dataset("rs4p-1m", data_dir=str(folder), split="train", streaming=True))
    assert isinstance(block, SingleFiles)
    assert block.records == tuple((f"images/{number:03d}.png", f"masks/{number:03d}.png") for number in order)


def test_release_layout_follows_its_split_list(release):
    folder, order = release
    samples = load(folder)
    assert numbers(samples) == order
    assert list(samples[0]) == COLUMNS
    assert samples[0]["id"] == "images/003" and samples[0]["source"] == "RS4P-1M"
    assert np.asarray(samples[0]["pseudo_mask"]).tolist() == [[3] * 4] * 4
    assert samples[0]["entropy"] is None and samples[0]["cluster"] is None


def test_named_list_without_masks_and_folder_without_lists(release):
    folder, _ = release
    (folder / "train.txt").rename(folder / "all.list")
    assert numbers(load(folder)) == [0, 1, 2, 3, 4]
    (folder / "few.txt").write_text("images/004.png\nimages/002.png masks/002.png\n", encoding="utf-8")
    samples = load(folder, split_list="few.txt")
    assert numbers(samples) == [4, 2]
    assert samples[0]["pseudo_mask"] is None and samples[1]["pseudo_mask"] is not None
    with pytest.raises(LayoutError, match=r"no split list other.txt; its text files: \['few.txt'\]"):
        load(folder, split_list="other.txt")


def test_broken_list_and_missing_file(release):
    folder, _ = release
    (folder / "train.txt").write_text("images/000.png masks/000.png\na b c\n", encoding="utf-8")
    with pytest.raises(SampleError, match=r"train.txt, line 2: expected 'image' or 'image mask', got 'a b c'"):
        load(folder)
    (folder / "train.txt").write_text("images/gone.png masks/000.png\n", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"images/gone.png"):
        load(folder)


def test_long_lists_are_read_in_runs(release):
    folder, order = release
    (folder / "train.txt").write_text((folder / "train.txt").read_text(encoding="utf-8") * 40, encoding="utf-8")
    dataset = load_dataset("rs4p-1m", data_dir=str(folder), split="train", streaming=True)
    assert dataset.num_shards == 4
    assert numbers(dataset) == order * 40


def test_tar_shards(tar_shards):
    samples = load(tar_shards)
    assert numbers(samples) == list(range(150))
    assert samples[8]["id"] == "x/008" and samples[8]["source"] == "SAMRS"
    assert samples[8]["cluster"] == 1 and samples[8]["entropy"] == pytest.approx(0.08)
    assert np.asarray(samples[8]["pseudo_mask"])[0, 0] == 8
    assert samples[9]["pseudo_mask"] is None and samples[9]["entropy"] is None and samples[9]["source"] == "rs4p-1m"


def test_index_describes_tar_shards(tar_shards):
    write_index(tar_shards)
    shards = json.loads((tar_shards / "index.json").read_text(encoding="utf-8"))["shards"]
    assert [[rows for _, _, rows in shard["spans"]] for shard in shards] == [[64, 11]] * 2
    assert numbers(load(tar_shards)) == list(range(150))


@pytest.mark.parametrize("content", [b"no tar", b""])
def test_broken_tar_is_named(content, tmp_path):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(ShardReadError, match=r"a.tar, byte 0: not an uncompressed tar file"):
        load(tmp_path)


def test_cut_tar_is_named(tar_shards):
    path = tar_shards / "rs4p-00001.tar"
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(ShardReadError, match=r"rs4p-00001.tar"):
        load(tar_shards)


@pytest.fixture
def parquet_shards(tar_shards, tmp_path):
    """The samples of the tar shards as several Parquet shards with several row groups."""
    dataset = load_dataset("rs4p-1m", data_dir=str(tar_shards), split="train", streaming=True)
    paths = write_parquet_shards(dataset, tmp_path / "parquet", shard_bytes=5000, row_group_bytes=1500)
    assert len(paths) > 2
    return tmp_path / "parquet"


def test_parquet_shards_give_the_same_samples(tar_shards, parquet_shards):
    for expected, found in zip(load(tar_shards), load(parquet_shards), strict=True):
        assert {name: found[name] for name in COLUMNS[1:3]} == {name: expected[name] for name in COLUMNS[1:3]}
        assert (np.asarray(found["image"]) == np.asarray(expected["image"])).all()
        assert found["cluster"] == expected["cluster"]
        assert (found["pseudo_mask"] is None) == (expected["pseudo_mask"] is None)


def test_parquet_with_other_columns(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [{"bytes": numbered(number), "path": None} for number in range(3)]
    pq.write_table(pa.table({"image": images, "label": images}), tmp_path / "x.parquet")
    samples = load(tmp_path)
    assert [sample["id"] for sample in samples] == ["x:0:0", "x:0:1", "x:0:2"]
    assert samples[2]["pseudo_mask"].size == (4, 4) and samples[2]["cluster"] is None
    pq.write_table(pa.table({"picture": images}), tmp_path / "x.parquet")
    with pytest.raises(ShardReadError, match=r"x.parquet has no image column of {bytes, path}, only picture \(struct"):
        load(tmp_path)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ShardReadError, match=r"x.parquet is damaged or not a Parquet file"):
        load(tmp_path)


@pytest.mark.parametrize("has_ranges", [True, False])
@pytest.mark.parametrize("kind", ["tar_shards", "parquet_shards"])
def test_shards_over_http(kind, has_ranges, request, serve):
    folder = request.getfixturevalue(kind)
    write_index(folder)
    server = serve(folder, has_ranges=has_ranges)
    assert sorted(numbers(load(server.url, **QUICK))) == list(range(150))


def test_release_layout_over_http_needs_no_listing(release, serve):
    folder, order = release
    assert numbers(load(serve(folder).url, **QUICK)) == order


def test_shards_named_one_by_one_over_http(parquet_shards, serve):
    server = serve(parquet_shards / "data")
    urls = [f"{server.url}/{path.name}" for path in sorted((parquet_shards / "data").iterdir())]
    dataset = load_dataset("rs4p-1m", data_files={"train": urls}, split="train", streaming=True)
    assert sorted(numbers(dataset)) == list(range(150))


def test_a_server_without_listing_or_index_is_explained(tmp_path, serve):
    with pytest.raises(LayoutError, match=r"cannot be listed .* needs an index.json"):
        load(serve(tmp_path).url, **QUICK)


@pytest.mark.parametrize("kind", ["tar_shards", "parquet_shards"])
def test_a_connection_that_breaks_off_is_tried_again(kind, request, serve):
    folder = request.getfixturevalue(kind)
    write_index(folder)
    server = serve(folder)
    name = json.loads((folder / "index.json").read_text(encoding="utf-8"))["shards"][-1]["file"]
    server.breaks[name] = 2
    assert sorted(numbers(load(server.url, **QUICK))) == list(range(150))
    assert server.breaks[name] == 0
    server.breaks[name] = 1000
    with pytest.raises(ShardReadError, match=rf"reading {server.url}/{name} failed 3 times"):
        load(server.url, **QUICK)


def test_a_server_that_is_gone_raises_with_the_name(tmp_path, serve):
    server = serve(tmp_path)
    server.stop()
    with pytest.raises(ShardReadError, match=rf"reading {server.url}/train.txt failed 3 times"):
        load(server.url, **QUICK)


def test_short_answers_of_other_file_systems_are_noticed():
    memory = fsspec.filesystem("memory")
    memory.pipe("/short.tar", b"0123456789")
    try:
        storage = Storage(attempts=2, wait=0)
        assert storage.read_range("memory://short.tar", 2, 5) == b"234"
        with pytest.raises(ShardReadError, match=r"memory://short.tar failed 2 times, last: 2 of 12 bytes arrived"):
            storage.read_range("memory://short.tar", 8, 20)
    finally:
        memory.rm("/short.tar")


@pytest.mark.parametrize("kind", ["tar_shards", "parquet_shards"])
def test_other_file_systems(kind, request):
    # A stand-in for hf://: any fsspec file system goes the same way.
    folder = request.getfixturevalue(kind)
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), f"/{kind}", recursive=True)
    try:
        assert sorted(numbers(load(f"memory://{kind}"))) == list(range(150))
    finally:
        memory.rm(f"/{kind}", recursive=True)
