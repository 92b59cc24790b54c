import pickle
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from datasets import load_dataset
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader

from s5_hf.data.sharding import write_index, write_parquet_shards
from s5_hf.dataset_builders.errors import CorruptImageError
from s5_hf.dataset_builders.streaming import ShuffledStream, StreamLoader

COUNT = 101

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def number_of(sample):
    return int(np.asarray(sample["image"])[0, 0, 0])


@pytest.fixture(params=["files", "parquet", "tar"])
def dataset(request, numbered_images, write_tar, tmp_path):
    """101 numbered images in several blocks of each kind."""
    folder = numbered_images(COUNT)
    streaming = {"split": "train", "streaming": True}
    if request.param == "tar":
        paths = sorted(folder.iterdir())
        for shard in range(3):
            members = [(path.name, path.read_bytes()) for path in paths[shard::3]]
            write_tar(tmp_path / f"tar/{shard}.tar", members)
        write_index(tmp_path / "tar")
        return load_dataset("rs4p-1m", data_dir=str(tmp_path / "tar"), **streaming)
    files = load_dataset("s5-star", data_dir=str(folder), **streaming)
    if request.param == "files":
        return files
    write_parquet_shards(files, tmp_path / "parquet", shard_bytes=2500, row_group_bytes=700)
    return load_dataset("s5-star", data_dir=str(tmp_path / "parquet"), **streaming)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_nothing_is_lost_or_doubled_before_and_after_a_resume(dataset, world_size, workers):
    epoch = []
    for rank in range(world_size):

        def stream(rank=rank):
            part = split_dataset_by_node(dataset, rank, world_size)
            return ShuffledStream(part, batch_size=4, seed=7, pool_blocks=3, transform=number_of)

        uninterrupted = list(stream())
        loader = StreamLoader(stream(), num_workers=workers)
        first = list(islice(loader, 3))
        state = loader.state_dict()
        assert state["delivered"] == 3
        resumed = StreamLoader(stream(), num_workers=workers)
        resumed.load_state_dict(pickle.loads(pickle.dumps(state)))
        assert first + list(resumed) == uninterrupted
        assert resumed.state_dict()["epoch"] == 1
        epoch += [number for batch in uninterrupted for number in batch]
    assert sorted(epoch) == list(range(COUNT))


def test_a_resume_may_change_the_number_of_workers(dataset):
    def stream():
        return ShuffledStream(dataset, batch_size=4, seed=7, transform=number_of)

    loader = StreamLoader(stream(), num_workers=3)
    first = list(islice(loader, 5))
    resumed = StreamLoader(stream(), num_workers=2)
    resumed.load_state_dict(loader.state_dict())
    assert first + list(resumed) == list(stream())


def test_order_follows_seed_and_epoch(dataset):
    def order(seed, epoch):
        stream = ShuffledStream(dataset, batch_size=5, seed=seed, transform=number_of)
        stream.set_epoch(epoch)
        return [number for batch in stream for number in batch]

    orders = [order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(found) for found in orders}) == 4
    assert all(sorted(found) == list(range(COUNT)) for found in orders)
    assert order(1, 1) == orders[3]
    assert np.corrcoef(orders[0], range(COUNT))[0, 1] < 0.9


def test_epochs_follow_each_other_with_workers_that_stay(dataset):
    stream = ShuffledStream(dataset, batch_size=4, transform=number_of)
    loader = StreamLoader(stream, num_workers=2, persistent_workers=True)
    expected = ShuffledStream(dataset, batch_size=4, transform=number_of)
    for epoch in range(3):
        stream.set_epoch(epoch)
        expected.set_epoch(epoch)
        assert list(loader) == list(expected)
    assert stream.epoch == 3 and stream.delivered == 0


def test_set_epoch_keeps_the_place_of_a_resume_and_only_that(dataset):
    stream = ShuffledStream(dataset, batch_size=4, transform=number_of)
    stream.load_state_dict({**stream.state_dict(), "epoch": 2, "delivered": 20})
    stream.set_epoch(2)
    assert len(list(stream)) == len(stream) - 20
    stream.set_epoch(3)
    assert len(list(stream)) == len(stream)


def test_a_plain_loader_with_workers_needs_a_count(dataset):
    def stream():
        return ShuffledStream(dataset, batch_size=4, transform=number_of)

    interrupted = stream()
    loader = DataLoader(interrupted, batch_size=None, num_workers=2, collate_fn=list)
    first = list(islice(loader, 7))
    with pytest.raises(RuntimeError, match="use StreamLoader, or pass delivered"):
        interrupted.state_dict()
    resumed = stream()
    resumed.load_state_dict(interrupted.state_dict(delivered=7))
    assert first + list(DataLoader(resumed, batch_size=None, num_workers=3, collate_fn=list)) == list(stream())


@pytest.mark.parametrize("dataset", ["parquet"], indirect=True)
def test_spawned_workers(dataset):
    stream = ShuffledStream(dataset, batch_size=40, transform=number_of)
    loader = StreamLoader(stream, num_workers=1, multiprocessing_context="spawn")
    assert list(loader) == list(ShuffledStream(dataset, batch_size=40, transform=number_of))


def test_collate_builds_tensors(dataset):
    def collate(samples):
        return torch.stack([torch.from_numpy(np.array(sample["image"])) for sample in samples])

    first = next(iter(StreamLoader(ShuffledStream(dataset, batch_size=4), num_workers=1, collate_fn=collate)))
    assert first.shape == (4, 4, 4, 3) and first.dtype == torch.uint8


def test_drop_last_gives_every_rank_the_same_full_batches(dataset):
    ranks = [
        list(ShuffledStream(dataset, 4, rank=rank, world_size=3, transform=number_of, drop_last=True))
        for rank in range(3)
    ]
    assert [len(batches) for batches in ranks] == [8, 8, 8]
    counted = Counter(number for batches in ranks for batch in batches for number in batch)
    assert len(counted) == 96 and set(counted.values()) == {1}


@pytest.mark.parametrize("workers", [0, 2])
def test_corrupt_images_are_skipped_and_counted_or_raise(workers, numbered_images):
    folder = numbered_images(30)
    for number, content in ((3, b"no image"), (11, b"")):
        (folder / f"{number:03d}.png").write_bytes(content)
    damaged = bytearray((folder / "020.png").read_bytes())
    damaged[45] ^= 0xFF
    (folder / "020.png").write_bytes(damaged)
    dataset = load_dataset("s5-star", data_dir=str(folder), split="train", streaming=True)
    stream = ShuffledStream(dataset, batch_size=5, transform=number_of, corrupt_images="skip")
    batches = list(StreamLoader(stream, num_workers=workers))
    assert sorted(number for batch in batches for number in batch) == sorted(set(range(30)) - {3, 11, 20})
    assert stream.skipped == 3
    assert len(batches) == 6
    with pytest.raises(CorruptImageError, match=r"0(03|11|20)"):
        list(ShuffledStream(dataset, batch_size=5))


def test_a_resume_is_exact_among_corrupt_images(numbered_images):
    folder = numbered_images(30)
    for number in (1, 2, 3, 8, 9):
        (folder / f"{number:03d}.png").write_bytes(b"")
    dataset = load_dataset("s5-star", data_dir=str(folder), split="train", streaming=True)

    def stream():
        return ShuffledStream(dataset, batch_size=4, transform=number_of, corrupt_images="skip")

    for stop, workers in ((1, 2), (4, 2), (len(stream()), 0)):
        loader = StreamLoader(stream(), num_workers=workers)
        first = list(islice(loader, stop))
        resumed = stream()
        resumed.load_state_dict(loader.state_dict())
        assert first + list(resumed) == list(stream())


def test_several_splits_and_map_style_data(numbered_images, tmp_path, write_image):
    for split, numbers in (("train", range(5)), ("val", range(5, 12))):
        for number in numbers:
            write_image(tmp_path / f"pairs/{split}/images/{number}.png", np.full((2, 2, 3), number, dtype=np.uint8))
            write_image(tmp_path / f"pairs/{split}/masks/{number}.png", np.zeros((2, 2), dtype=np.uint8))
    options = {"data_dir": str(tmp_path / "pairs"), "split": "train+val"}
    streamed = load_dataset("s5-isaid", streaming=True, **options)
    cached = load_dataset("s5-isaid", **options)
    for source in (streamed, cached):
        numbers = [number for batch in ShuffledStream(source, 4, transform=number_of) for number in batch]
        assert sorted(numbers) == list(range(12)) and numbers != list(range(12))
    anything = ShuffledStream([10, 20, 30], batch_size=2)
    assert sorted(number for batch in anything for number in batch) == [10, 20, 30]


def test_wrong_uses_are_explained(dataset):
    with pytest.raises(TypeError, match="before map, filter or shuffle"):
        ShuffledStream(dataset.map(lambda sample: sample), batch_size=2)
    with pytest.raises(TypeError, match="expected a dataset from load_dataset or a map-style one, got generator"):
        ShuffledStream((number for number in range(3)), batch_size=2)
    for options, message in (
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 1, "lanes": 0}, "lanes must be at least 1, got 0"),
        ({"batch_size": 1, "rank": 2, "world_size": 2}, "rank must be between 0 and 1, got 2"),
        ({"batch_size": 1, "seed": -1}, "seed must not be negative, got -1"),
        ({"batch_size": 1, "corrupt_images": "drop"}, "corrupt_images must be raise or skip, got 'drop'"),
    ):
        with pytest.raises(ValueError, match=message):
            ShuffledStream(dataset, **options)
    stream = ShuffledStream(dataset, batch_size=4)
    with pytest.raises(ValueError, match=r"another order, as name: \(state, stream\): \{'batch_size': \(4, 5\)\}"):
        ShuffledStream(dataset, batch_size=5).load_state_dict(stream.state_dict())
    with pytest.raises(ValueError, match="the state has delivered 99 of 26 batches"):
        stream.load_state_dict({**stream.state_dict(), "delivered": 99})


def test_each_worker_reads_its_own_blocks_once(numbered_images, tmp_path, serve):
    """With a multiple of the workers as lanes, a shard's row groups travel once."""
    folder = numbered_images(96)
    files = load_dataset("s5-star", data_dir=str(folder), split="train", streaming=True)
    write_parquet_shards(files, tmp_path / "parquet", row_group_bytes=700)
    server = serve(tmp_path / "parquet")
    dataset = load_dataset("s5-star", data_dir=server.url, split="train", streaming=True)
    stream = ShuffledStream(dataset, batch_size=4, pool_blocks=1, lanes=2, transform=number_of)
    blocks = len(stream._blocks)
    server.requests.clear()
    assert sorted(number for batch in StreamLoader(stream, num_workers=2) for number in batch) == list(range(96))
    spans = Counter(span for name, span in server.requests if name.endswith(".parquet"))
    footers = 2 * 3  # each worker asks for the size and reads the footer
    assert blocks <= sum(spans.values()) <= blocks + 2 + footers


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_the_plain_streaming_dataset_also_splits_by_node_and_worker(dataset, world_size):
    found = []
    for rank in range(world_size):
        part = split_dataset_by_node(dataset.shuffle(seed=1, buffer_size=10), rank, world_size)
        found += [number_of(sample) for sample in DataLoader(part, batch_size=None, num_workers=2, collate_fn=dict)]
    assert sorted(found) == list(range(COUNT))


def test_training_over_http_survives_a_break(numbered_images, tmp_path, serve):
    """One epoch of a linear model over shards from a server that breaks off twice sees every image once."""
    files = load_dataset("s5-star", data_dir=str(numbered_images(60)), split="train", streaming=True)
    write_parquet_shards(files, tmp_path / "parquet", row_group_bytes=700)
    server = serve(tmp_path / "parquet")
    dataset = load_dataset("rs4p-1m", data_dir=server.url, split="train", streaming=True, retry_wait=0.01)
    server.breaks["data/train-00000.parquet"] = 2

    def collate(samples):
        return torch.stack([torch.from_numpy(np.array(sample["image"], dtype=np.float32)) for sample in samples])

    torch.manual_seed(0)
    model = torch.nn.Linear(48, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
    seen, losses = [], []
    for batch in StreamLoader(ShuffledStream(dataset, batch_size=6), collate_fn=collate):
        numbers = batch[:, 0, 0, 0]
        loss = torch.nn.functional.mse_loss(model(batch.flatten(1)).squeeze(1), numbers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += numbers.int().tolist()
        losses.append(loss.item())
    assert sorted(seen) == list(range(60)) and server.breaks["data/train-00000.parquet"] == 0
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
