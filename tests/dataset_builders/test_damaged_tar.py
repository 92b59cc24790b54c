"""Damaged tar shards: every sample is read as it was packed, or reading ends with an error that names the place."""

import gc
import io
import subprocess
import sys
import tarfile
import warnings

import numpy as np
import pytest
from datasets import load_dataset

from s5_hf.data.sharding import write_index
from s5_hf.dataset_builders.errors import DamagedShardError
from s5_hf.dataset_builders.storage import Storage
from s5_hf.dataset_builders.streaming import ShuffledStream, StreamLoader
from s5_hf.dataset_builders.tar_shards import TarShard, TarSpan, find_spans
from tests.dataset_builders.encoded_images import numbered

KEYS = [f"{number:03d}" for number in range(10)]
BLOCK = 512
# What an image of the shard takes: its header, and its bytes filled up to a block.
MEMBER = 2 * BLOCK


@pytest.fixture(scope="module")
def packed():
    """A tar file of ten images, and where its end mark begins."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, key in enumerate(KEYS):
            member = tarfile.TarInfo(f"{key}.png")
            member.size = len(numbered(number))
            archive.addfile(member, io.BytesIO(numbered(number)))
        end = archive.offset
    assert end == len(KEYS) * MEMBER
    return buffer.getvalue(), end


@pytest.fixture
def outcome(tmp_path):
    """Ids that a shard of these bytes delivers, read in both ways, or the error of each that is no index' business."""

    def read(content, spans=()):
        path = tmp_path / "shard.tar"
        path.write_bytes(content)
        shard = TarShard(str(path), "source", Storage(), spans)
        found = []
        for rows_of in (lambda: shard.stream(), lambda: (block.load() for block in shard.blocks())):
            try:
                found.append([row["id"] for rows in rows_of() for row in (rows[index] for index in range(len(rows)))])
            except DamagedShardError as error:
                assert str(path) in str(error) and "byte" in str(error)
                found.append("refused")
        assert found[0] == found[1]
        return found[0]

    return read


def test_a_tar_cut_anywhere_is_refused_unless_only_its_padding_is_missing(packed, outcome):
    content, end = packed
    for cut in sorted({*range(BLOCK, len(content) + 1, BLOCK), *range(1, end + 3 * BLOCK, 97), 3072, 3172, end + 1}):
        result = outcome(content[:cut])
        if cut < end + BLOCK:
            assert result == "refused", cut
        else:
            assert result == KEYS, cut


def test_a_changed_header_byte_is_refused_or_harmless(packed, outcome):
    content, _ = packed
    refused = 0
    for place in range(BLOCK):
        damaged = bytearray(content)
        damaged[3 * MEMBER + place] ^= 0x15
        result = outcome(bytes(damaged))
        assert result in (KEYS, "refused"), place
        refused += result == "refused"
    assert refused >= BLOCK - 2  # what fills the field of the checksum does not count


def test_zeros_in_the_middle_are_refused(packed, outcome):
    content, end = packed
    for start in range(0, end, MEMBER):
        for length in (BLOCK, MEMBER, end - start):
            result = outcome(content[:start] + bytes(length) + content[start + length :])
            # Up to the end nothing tells zeros from the padding of a shorter file.
            expected = KEYS[: start // MEMBER] if length == end - start else "refused"
            assert result == expected, (start, length)


def test_a_file_that_was_never_filled_is_refused(packed, outcome):
    content, end = packed
    assert outcome(content[: 3 * MEMBER] + bytes(2 << 20)) == "refused"
    assert outcome(content[:end] + bytes(500_000)) == KEYS


def test_joined_tar_files_are_refused(packed, outcome):
    assert outcome(packed[0] + packed[0]) == "refused"


def test_with_an_index_every_damage_shows(packed, outcome):
    """Also at member boundaries, and with zeros up to the end."""
    content, end = packed
    spans = (TarSpan(0, 4 * MEMBER, 4), TarSpan(4 * MEMBER, end, 6))
    assert outcome(content, spans) == KEYS
    assert outcome(content[:end], spans) == KEYS  # the index says where the samples end
    for cut in (0, 100, 3 * MEMBER, 4 * MEMBER, 9 * MEMBER, end - 1):
        assert outcome(content[:cut], spans) == "refused", cut
    for start in range(0, end, BLOCK * 2):
        assert outcome(content[:start] + bytes(len(content) - start), spans) == "refused", start


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cut", [3072, 3172])
def test_a_cut_shard_stops_a_stream_with_workers(packed, tmp_path, workers, cut):
    path = tmp_path / "tar" / "train.tar"
    path.parent.mkdir()
    path.write_bytes(packed[0])
    dataset = load_dataset("rs4p-1m", data_dir=str(path.parent), split="train", streaming=True)
    loader = StreamLoader(ShuffledStream(dataset, batch_size=2), num_workers=workers)  # it has looked at the file
    path.write_bytes(packed[0][:cut])
    with pytest.raises(DamagedShardError, match=rf"train.tar.*byte {cut}"):
        list(loader)
    with pytest.raises(DamagedShardError, match=rf"train.tar, byte {cut - cut % BLOCK}: "):
        ShuffledStream(dataset, batch_size=2)
    with pytest.raises(DamagedShardError, match=rf"train.tar, byte {cut - cut % BLOCK}: "):
        list(dataset)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_member_that_claims_a_tebibyte_is_refused_with_its_name(packed, outcome, tmp_path, kind):
    huge = tarfile.TarInfo("huge.png")
    huge.type, huge.size = kind, 1 << 40
    path = tmp_path / "shard.tar"
    with pytest.raises(DamagedShardError, match=r"shard.tar, byte 3072: .*(huge|claim 1,099,511,627,776)") as caught:
        path.write_bytes(packed[0][: 3 * MEMBER] + huge.tobuf(tarfile.GNU_FORMAT) + packed[0][3 * MEMBER :])
        find_spans(Storage(), str(path))
    if kind == tarfile.REGTYPE:
        assert "'huge.png' claims 1,099,511,627,776 bytes" in str(caught.value)
    assert outcome(path.read_bytes()) == "refused"


@pytest.mark.skipif(sys.platform == "win32", reason="sparse files need to be asked for on Windows")
def test_a_member_of_a_file_that_is_as_large_as_it_claims_is_refused_too(packed, tmp_path):
    path = tmp_path / "shard.tar"
    huge = tarfile.TarInfo("huge.png")
    huge.size = 1 << 36
    path.write_bytes(huge.tobuf(tarfile.GNU_FORMAT))
    with path.open("r+b") as file:
        file.truncate((1 << 36) + 8192)
    with pytest.raises(DamagedShardError, match=r"byte 0: 'huge.png' claims 68,719,476,736 bytes"):
        find_spans(Storage(), str(path))


def test_links_in_a_tar_are_refused_and_folders_passed_over(packed, outcome):
    for kind, expected in ((tarfile.DIRTYPE, KEYS), (tarfile.SYMTYPE, "refused"), (tarfile.LNKTYPE, "refused")):
        member = tarfile.TarInfo("other")
        member.type, member.linkname = kind, "" if kind == tarfile.DIRTYPE else "000.png"
        assert outcome(member.tobuf(tarfile.GNU_FORMAT) + packed[0]) == expected


@pytest.mark.parametrize("format_of_names", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_survive(tmp_path, format_of_names):
    name = "folder/" * 30 + "bild-ä.png"
    with tarfile.open(tmp_path / "long.tar", "w", format=format_of_names) as archive:
        member = tarfile.TarInfo(name)
        member.size = len(numbered(7))
        archive.addfile(member, io.BytesIO(numbered(7)))
    write_index(tmp_path)
    (sample,) = load_dataset("rs4p-1m", data_dir=str(tmp_path), split="train", streaming=True)
    assert sample["id"] == name.removesuffix(".png") and np.asarray(sample["image"])[0, 0, 0] == 7


def test_no_tar_file_stays_open(packed, tmp_path, serve):
    (tmp_path / "train.tar").write_bytes(packed[0])
    server = serve(tmp_path, has_ranges=False)
    for index in (False, True):
        if index:
            write_index(tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            dataset = load_dataset("rs4p-1m", data_dir=str(tmp_path), split="train", streaming=True)
            assert sum(len(batch) for batch in ShuffledStream(dataset, batch_size=3)) == len(KEYS)
            assert len(list(dataset)) == len(KEYS)
            del dataset
            gc.collect()
    code = (
        "from datasets import load_dataset\nimport s5_hf\n"
        "from s5_hf.dataset_builders.streaming import ShuffledStream\n"
        f"for folder in ({str(tmp_path)!r}, {server.url!r}):\n"
        "    dataset = load_dataset('rs4p-1m', data_dir=folder, split='train', streaming=True)\n"
        "    print(sum(len(batch) for batch in ShuffledStream(dataset, batch_size=3)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", "-W", "always::ResourceWarning", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "10\n10\n"
    assert "unclosed file" not in run.stderr
