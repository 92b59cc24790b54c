import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.dataset_builders.file_server import FileServer

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data():
    """The real imagery beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("the sample imagery (../shared/data) is not part of the repository")
    return SHARED


@pytest.fixture(autouse=True)
def every_test_has_its_own_cache(own_cache):
    """Arrow files of non-streaming loads stay in a temporary folder."""


@pytest.fixture
def write_image():
    """Write a random RGB image, or a given array; returns the path."""

    def write(path, array=None, size=(8, 6), seed=0, **options):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if array is None:
            array = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(np.asarray(array)).save(path, **options)
        return path

    return write


@pytest.fixture
def write_image_and_mask(write_image, tmp_path):
    """Write a mask of given values, and a random image of its size."""

    def write(image, mask, ids):
        write_image(tmp_path / image, size=(ids.shape[1], ids.shape[0]))
        write_image(tmp_path / mask, ids)

    return write


@pytest.fixture
def numbered_images(tmp_path, write_image):
    """A folder of images 000.png to ...; the first pixel's red value is the number."""

    def make(count, folder="images", offset=0):
        for number in range(offset, offset + count):
            array = np.zeros((4, 4, 3), dtype=np.uint8)
            array[0, 0, 0] = number
            write_image(tmp_path / folder / f"{number:03d}.png", array)
        return tmp_path / folder

    return make


@pytest.fixture
def write_tar():
    """Write a tar file from (name, bytes) pairs."""

    def write(path, members):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as archive:
            for name, content in members:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return Path(path)

    return write


@pytest.fixture
def serve():
    """Serve a folder over http on the loopback interface; the servers end with the test."""
    servers = []

    def start(folder, **options):
        server = FileServer(folder, **options)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()
