"""Servers that trickle: each byte comes in time, the file never does."""

import time

import pytest
from datasets import load_dataset

from s5_hf.dataset_builders import pace
from s5_hf.dataset_builders.errors import ShardReadError
from s5_hf.dataset_builders.pace import Pace
from s5_hf.dataset_builders.storage import Storage
from tests.dataset_builders.encoded_images import numbered


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    seconds = [0.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: seconds[0])
    return seconds


def test_a_stall_is_less_than_a_kibibyte_a_second_for_a_minute(clock):
    watched = Pace()
    for clock[0] in range(1, 300):
        watched.add(2000)
    with pytest.raises(TimeoutError, match=r"the transfer has stalled: \d+ bytes in 6\d seconds"):
        for clock[0] in range(300, 500):
            watched.add(100)
    assert clock[0] < 430


def test_a_transfer_has_an_overall_limit_that_grows_with_its_bytes(clock):
    watched = Pace()
    with pytest.raises(TimeoutError, match="the transfer is too slow: 1510000 bytes in 750 seconds"):
        for clock[0] in range(0, 10_000, 5):
            watched.add(10_000)
    clock[0] = 0.0
    watched = Pace()
    for clock[0] in range(0, 100_000, 10):  # more than a day
        watched.add(120_000)


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_trickling_server_is_given_up(tmp_path, write_tar, serve, monkeypatch, has_ranges):
    write_tar(tmp_path / "train.tar", [(f"{number}.png", numbered(number)) for number in range(10)])
    server = serve(tmp_path, has_ranges=has_ranges)
    server.trickles["train.tar"] = 0.01
    monkeypatch.setattr(pace, "STALL_SECONDS", 0.3)
    location = f"{server.url}/train.tar"
    begin = time.monotonic()
    reads = [lambda storage: storage.read(location), lambda storage: storage.open(location).read(5000)]
    if has_ranges:
        reads.append(lambda storage: storage.read_range(location, 0, 5000))
    for read in reads:
        with pytest.raises(ShardReadError, match=r"train.tar failed 2 times, last: .*stalled") as caught:
            read(Storage(attempts=2, wait=0.01))
        assert location in str(caught.value)
    files = {"data_files": {"train": [location]}, "split": "train", "streaming": True}
    with pytest.raises(ShardReadError, match=r"train.tar failed 1 times, last: the transfer has stalled"):
        list(load_dataset("rs4p-1m", read_attempts=1, **files))
    assert time.monotonic() - begin < 30
