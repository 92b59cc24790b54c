"""The order of the data: the same for any number of processes and workers, and known from the step alone."""

import itertools
import multiprocessing
import os

import numpy as np
import pytest
import torch
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.training.batches import IndexedBatches, SampleOrder, StreamedBatches
from s5_hf.training.pretraining.data import load_data
from s5_hf.training.pretraining.recipe import DataSettings
from s5_hf.training.views.weak import SampleView, WeakView
from tests.training.pretraining import random_samples, write_folders

VIEW = SampleView(WeakView(32), seed=0, stream="labelled", num_labels=3)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 3), st.integers(0, 20))
def test_processes_share_one_sequence(num_samples, batch_size, world_size, index):
    whole = SampleOrder((num_samples,), (batch_size * world_size,), (3,)).batch(index)
    parts = [
        SampleOrder((num_samples,), (batch_size,), (3,), rank, world_size).batch(index) for rank in range(world_size)
    ]
    assert [row for part in parts for row in part] == whole


def test_every_epoch_shows_every_sample_once_in_another_order():
    order = SampleOrder((10,), (5,), (0,))
    epochs = [[row for batch in (2 * e, 2 * e + 1) for row in order.batch(batch)] for e in range(3)]
    for epoch, rows in enumerate(epochs):
        assert sorted(rows) == [(0, sample, epoch) for sample in range(10)]
    assert [s for _, s, _ in epochs[0]] != [s for _, s, _ in epochs[1]]


def take(batches, start, count):
    return list(itertools.islice(batches.start(start), count))


def assert_equal_batches(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert torch.equal(one[name], other[name]), name


def test_indexed_batches_start_anywhere_with_any_workers():
    samples = random_samples(7, 1)
    whole = take(IndexedBatches(samples, VIEW, 3, seed=5), 0, 6)
    assert whole[0]["image"].shape == (3, 3, 32, 32) and whole[0]["labels"].shape == (3, 32, 32)
    assert_equal_batches(take(IndexedBatches(samples, VIEW, 3, seed=5, num_workers=1), 4, 2), whole[4:])


def test_reading_leaves_torchs_own_randomness_alone():
    before = torch.get_rng_state()
    take(IndexedBatches(random_samples(4, 1), VIEW, 2, seed=0), 0, 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_samples_without_id_get_their_index():
    samples = [{key: value for key, value in sample.items() if key != "id"} for sample in random_samples(4, 1)]
    seeds = take(IndexedBatches(samples, VIEW, 4, seed=0), 0, 1)[0]["seed"]
    assert len(set(seeds.tolist())) == 4


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A small dataset in folders: 12 training and 2 validation pairs of three classes."""
    return write_folders(tmp_path_factory.mktemp("folders"), train=12, val=2)


def test_streams_start_anywhere(folders):
    def batches(workers):
        dataset = load_dataset("s5-image-mask", data_dir=str(folders), split="train", streaming=True)
        return StreamedBatches(dataset, VIEW, 4, seed=5, num_workers=workers)

    whole = take(batches(0), 0, 8)  # more than two epochs of three batches
    assert_equal_batches(take(batches(0), 4, 4), whole[4:])
    assert_equal_batches(take(batches(1), 5, 3), whole[5:])
    for epoch in (whole[:3], whole[3:6]):
        assert len({int(seed) for batch in epoch for seed in batch["seed"]}) == 12
    assert not torch.equal(whole[0]["seed"], whole[3]["seed"])


class ViewWithProcess(SampleView):
    """Also tells which process made the row."""

    def __call__(self, sample, epoch):
        return {**super().__call__(sample, epoch), "process": torch.tensor(os.getpid())}


def test_workers_of_streams_stay_for_all_epochs_and_end_with_them(folders):
    def batches(workers):
        dataset = load_dataset("s5-image-mask", data_dir=str(folders), split="train", streaming=True)
        view = ViewWithProcess(WeakView(32), seed=0, stream="labelled", num_labels=3)
        return StreamedBatches(dataset, view, 4, seed=5, num_workers=workers).start

    def rows(iterator, count):
        taken = list(itertools.islice(iterator, count))
        return taken, [{int(process) for process in batch.pop("process")} for batch in taken]

    whole, processes = rows(batches(0)(0), 9)  # three epochs of three batches
    assert processes == [{os.getpid()}] * 9
    before = set(multiprocessing.active_children())
    for first in (0, 4):  # from the beginning, and resumed in the second epoch
        iterator = batches(2)(first)
        taken, processes = rows(iterator, 9 - first)
        assert_equal_batches(taken, whole[first:])
        workers = set(multiprocessing.active_children()) - before
        assert set.union(*processes) == {worker.pid for worker in workers} and len(workers) == 2
        del iterator  # as at the end of a training, also one that is interrupted
        assert set(multiprocessing.active_children()) == before


def test_an_empty_stream_is_refused(folders):
    dataset = load_dataset("s5-image-mask", data_dir=str(folders), split="val", streaming=True)
    with pytest.raises(ValueError, match=r"labelled stream is empty: it has fewer samples than the 8"):
        StreamedBatches(dataset, VIEW, 4, seed=0, world_size=2)
    with pytest.raises(ValueError, match="labelled dataset is empty"):
        IndexedBatches([], VIEW, 4, seed=0)


class TestLoadData:
    def settings(self, folders, **changes):
        values = {"labelled_dataset": "s5-image-mask", "labelled_dir": str(folders), "classes": ["a", "b", "c"]}
        return DataSettings(**{**values, "unlabelled_dataset": "rest", "labelled_count": 4, **changes})

    def test_the_rest_is_unlabelled(self, folders):
        data = load_data(self.settings(folders), seed=0, with_unlabelled=True)
        labelled, unlabelled = set(data.labelled["id"]), set(data.unlabelled["id"])
        assert len(labelled) == 4 and len(unlabelled) == 8 and not labelled & unlabelled
        assert len(data.validation) == 2 and data.labels == ("a", "b", "c") and len(data.palette) == 3
        other = load_data(self.settings(folders), seed=1, with_unlabelled=True)
        assert set(other.labelled["id"]) != labelled

    def test_a_supervised_run_reads_no_unlabelled_images(self, folders):
        assert load_data(self.settings(folders, unlabelled_dataset="rs4p-1m"), 0, False).unlabelled is None

    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            ({"classes": []}, ValueError, "s5-image-mask does not know its classes"),
            ({"labelled_dataset": "s5-isiad"}, KeyError, "unknown dataset 's5-isiad'. Did you mean 's5-isaid'?"),
            ({"labelled_count": 13}, ValueError, "labelled_count is 13, but the dataset has 12 samples"),
            ({"streaming": True}, ValueError, "set streaming: false"),
        ],
    )
    def test_bad_settings(self, folders, changes, error, message):
        with pytest.raises(error) as raised:
            load_data(self.settings(folders, **changes), 0, True)
        assert message in str(raised.value)


def test_a_real_folder_loads(real_imagery):
    classes = ["other", "building", "road", "park", "water"]
    settings = DataSettings(
        labelled_dataset="s5-image-mask",
        labelled_dir=str(real_imagery / "citymaps"),
        classes=classes,
        labelled_count=24,
        unlabelled_dataset="rest",
        validation_count=1,
    )
    data = load_data(settings, seed=0, with_unlabelled=True)
    assert (len(data.labelled), len(data.unlabelled), len(data.validation)) == (24, 276, 1)
    view = SampleView(WeakView(192), 0, "labelled", num_labels=5)
    batch = take(IndexedBatches(data.labelled, view, 8, seed=0), 0, 1)[0]
    assert set(np.unique(batch["labels"])) <= {0, 1, 2, 3, 4, 255}
    assert batch["image"].float().std() > 20
