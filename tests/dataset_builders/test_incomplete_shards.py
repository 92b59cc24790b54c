"""Shards that are missing, damaged or not what the index says: an error that names them, never fewer samples."""

import json

import pyarrow.parquet as pq
import pytest
from datasets import Image, load_dataset

from s5_hf.data.sharding import write_index, write_parquet_shards
from s5_hf.dataset_builders.errors import DamagedShardError, ShardReadError
from s5_hf.dataset_builders.features import unlabelled_features
from tests.dataset_builders.encoded_images import numbered


def write_shards(folder, count=8, shards=2):
    """`count` samples in `shards` Parquet files with an index."""
    rows = [{"image": {"bytes": numbered(n), "path": None}, "id": str(n), "source": "x"} for n in range(count)]
    size = len(numbered(0)) * count // shards
    options = {"shard_bytes": size - 3, "row_group_bytes": size // 2}
    return write_parquet_shards(iter(rows), folder, features=unlabelled_features(), **options)


def ids(folder, **options):
    dataset = load_dataset("rs4p-1m", data_dir=str(folder), split="train", streaming=True, retry_wait=0, **options)
    return [sample["id"] for sample in dataset]


def test_a_shard_that_the_index_names_and_is_missing_is_refused(tmp_path, serve):
    second = write_shards(tmp_path)[1]
    assert len(ids(tmp_path)) == 8
    second.unlink()
    with pytest.raises(DamagedShardError, match=r"index.json names 2 shards, 1 of them missing: data/train-00001"):
        ids(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"train-00001.parquet does not exist"):
        ids(serve(tmp_path).url)
    (tmp_path / "index.json").unlink()
    assert len(ids(tmp_path)) == 4


def test_a_shard_of_another_size_than_the_index_says_is_refused(tmp_path):
    first, second = write_shards(tmp_path)
    first.write_bytes(second.read_bytes() + b"more")
    with pytest.raises(DamagedShardError, match=r"train-00000.parquet has \d+ bytes, index.json says \d+"):
        ids(tmp_path)


@pytest.mark.parametrize("ending", ["parquet", "tar"])
@pytest.mark.parametrize("first", [0, 1])
def test_one_of_three_numbered_shards_alone_is_refused(tmp_path, write_tar, ending, first):
    folder = tmp_path / "shards"
    names = [folder / f"train-{number:05d}-of-00003.{ending}" for number in range(first, first + 3)]
    for number, name in enumerate(names):
        if ending == "tar":
            write_tar(name, [(f"{number}.png", numbered(number))])
        else:
            (path,) = write_shards(tmp_path / str(number), count=1, shards=1)
            folder.mkdir(exist_ok=True)
            path.rename(name)
    assert len(ids(folder)) == 3
    names[1].unlink()
    names[2].unlink()
    with pytest.raises(DamagedShardError, match=r"holds 1 of 3 shards train-\*-of-00003") as caught:
        ids(folder)
    assert (names[1].name in str(caught.value)) or first == 0
    chosen = load_dataset("rs4p-1m", data_files={"train": [str(names[0])]}, split="train", streaming=True)
    assert len(list(chosen)) == 1


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><title>Welcome</title>", b"[]", b'{"files": 3}', b"\xff\xfe"])
def test_an_index_that_is_a_web_page_is_refused_by_name(tmp_path, serve, content):
    write_shards(tmp_path)
    (tmp_path / "index.json").write_bytes(content)
    url = serve(tmp_path).url
    for folder in (str(tmp_path), url):
        with pytest.raises(ValueError, match=r"index.json is not an index of files and shards") as caught:
            ids(folder)
        assert folder in str(caught.value)


@pytest.mark.parametrize("facts", [{"spans": [[0, 512]]}, {"spans": 3}, {"rows": ["many"]}, {"file": 3}])
def test_an_index_with_broken_facts_is_refused_by_name(tmp_path, facts):
    write_shards(tmp_path)
    index = {"shards": [{"file": "data/train-00000.parquet", "split": "train", **facts}]}
    (tmp_path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ValueError, match=r"index.json is not an index of files and shards"):
        ids(tmp_path)


def test_a_damaged_parquet_page_is_refused_by_name(tmp_path, serve):
    """Every place in the file: the same samples, or an error with the file's name."""
    (path,) = write_shards(tmp_path, shards=1)
    (tmp_path / "index.json").unlink()
    content = path.read_bytes()
    header = pq.ParquetFile(path).metadata.row_group(0).column(0).data_page_offset
    server = serve(tmp_path)
    refused = 0
    for place in sorted({*range(header, header + 24), *range(0, len(content), 61)}):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        for folder in (str(tmp_path), server.url):
            if folder == server.url and place not in range(header, header + 4):
                continue
            options = {} if folder == str(tmp_path) else {"data_files": {"train": [f"{folder}/data/{path.name}"]}}
            try:
                dataset = load_dataset(
                    "rs4p-1m", data_dir=None if options else folder, split="train", streaming=True, **options
                )
                assert len([sample["id"] for sample in dataset.cast_column("image", Image(decode=False))]) == 8
            except (ValueError, OSError) as error:
                assert path.name in str(error), (place, error)
                refused += 1
    assert refused > 20


def test_a_missing_file_is_not_called_damaged(tmp_path):
    write_shards(tmp_path)
    dataset = load_dataset("rs4p-1m", data_dir=str(tmp_path), split="train", streaming=True)
    (tmp_path / "data" / "train-00001.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"train-00001.parquet"):
        list(dataset)


def test_an_index_of_tar_shards_keeps_their_sizes(tmp_path, write_tar):
    write_tar(tmp_path / "a.tar", [("0.png", numbered(0))])
    write_index(tmp_path)
    write_tar(tmp_path / "a.tar", [(f"{number}.png", numbered(number)) for number in range(30)])
    with pytest.raises(ShardReadError, match=r"a.tar has \d+ bytes, index.json says \d+.*write it again"):
        ids(tmp_path)
