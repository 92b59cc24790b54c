"""Passwords and tokens in URLs reach the server, and nothing that is printed or stored."""

import logging
import traceback

import pytest
from datasets import load_dataset

from s5_hf.curation.sources import ImageSource
from s5_hf.data.sharding import write_parquet_shards
from s5_hf.dataset_builders.credentials import without_credentials
from s5_hf.dataset_builders.storage import Storage
from s5_hf.recipes import find_recipe
from s5_hf.scenes.scene_names import relative_source
from s5_hf.scenes.source import has_rasterio, open_scene
from s5_hf.training.pretraining.recipe import PretrainingRecipe
from s5_hf.training.run_folder import describe_environment, save_description
from tests.dataset_builders.encoded_images import numbered

RECIPE = find_recipe("s4p_tiny_cpu", "s4p")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:secret@host/a b", "https://host/a b"),
        ("reading http://secret@host:80/x?a=1 failed", "reading http://host:80/x?a=1 failed"),
        ("https://u:se@cret@host", "https://host"),
        ("https://host/x?token=secret&b=2", "https://host/x?token=***&b=2"),
        ("https://host/x?X-Amz-Signature=secret&Expires=3", "https://host/x?X-Amz-Signature=***&Expires=3"),
        ("url: /x?sig=secret (Caused by)", "url: /x?sig=*** (Caused by)"),
        ("/vsicurl/https://u:secret@host/x.tif", "/vsicurl/https://host/x.tif"),
        ("two https://a:secret@h1 and ftp://b:secret@h2", "two https://h1 and ftp://h2"),
        ("hf://datasets/me/data@main/x", "hf://datasets/me/data@main/x"),
        ("mail me@host about C:\\key=3 and a?b", "mail me@host about C:\\key=3 and a?b"),
        (["x", {"url": "http://u:secret@h"}, 3, None], ["x", {"url": "http://h"}, 3, None]),
    ],
)
def test_secrets_of_urls_are_removed_and_the_rest_stays(text, expected):
    assert without_credentials(text) == expected
    assert without_credentials(expected) == expected


@pytest.fixture
def secret_url(tmp_path, serve):
    """A served folder whose address holds a password, and its server."""
    (tmp_path / "shards").mkdir()
    server = serve(tmp_path / "shards")
    return server.url.replace("http://", "http://user:secret@"), server


def test_errors_logs_and_ids_of_remote_data_hold_no_password(secret_url, tmp_path, caplog):
    caplog.set_level(logging.DEBUG, logger="s5_hf")
    url, server = secret_url
    options = {"split": "train", "streaming": True, "read_attempts": 2, "retry_wait": 0}
    with pytest.raises(FileNotFoundError) as missing:
        load_dataset("rs4p-1m", data_dir=url, **options)
    assert "secret" not in "".join(traceback.format_exception(missing.value))

    (tmp_path / "shards" / "broken.tar").write_bytes(b"no tar")
    with pytest.raises(OSError, match=r"broken.tar, byte 0: not an") as broken:
        list(load_dataset("rs4p-1m", data_files={"train": [f"{url}/broken.tar"]}, **options))
    assert "secret" not in "".join(traceback.format_exception(broken.value))
    server.breaks["broken.tar"] = 9
    with pytest.raises(OSError, match=r"broken.tar failed 2 times") as broken:
        Storage(attempts=2, wait=0).read(f"{url}/broken.tar")
    assert "secret" not in "".join(traceback.format_exception(broken.value))

    rows = [{"image": {"bytes": numbered(1), "path": None}, "id": None, "source": "x"}]
    dataset = load_dataset("s5-star", data_dir=str(one_image(tmp_path)), split="train", streaming=True)
    write_parquet_shards(iter(rows), tmp_path / "shards", features=dataset.features)
    (sample,) = load_dataset("rs4p-1m", data_dir=url, **options)
    assert sample["id"] == "train-00000:0:0"
    assert caplog.text and "secret" not in caplog.text


def one_image(folder):
    (folder / "one").mkdir()
    (folder / "one" / "a.png").write_bytes(numbered(0))
    return folder / "one"


def test_run_records_hold_no_password(tmp_path, monkeypatch):
    url = "https://user:secret@host/data?token=secret"
    recipe = PretrainingRecipe.read([str(RECIPE), "--labelled_dir", url, "--output_dir", str(tmp_path)])
    monkeypatch.setattr("sys.argv", ["pretrain_s4p.py", "--labelled_dir", url])
    save_description(tmp_path, recipe)
    for path in tmp_path.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "https://host/data?token=***" in text and "secret" not in text, path
    assert "secret" not in str(describe_environment()) and url in str(recipe)


def test_scores_and_maps_hold_no_password():
    described = ImageSource(dataset="rs4p-1m", data_dir="https://user:secret@host/data").describe()
    assert described["data_dir"] == "https://host/data"


@pytest.mark.skipif(not has_rasterio(), reason="needs rasterio")
def test_scene_errors_and_names_hold_no_password(tmp_path, serve):
    url = serve(tmp_path).url.replace("http://", "http://user:secret@") + "/missing.tif"
    with pytest.raises(OSError, match=r"missing\.tif") as missing, open_scene(url, 3):
        pytest.fail("there is no such scene")
    assert "secret" not in "".join(traceback.format_exception(missing.value))
    assert relative_source("https://host/scene.tif", tmp_path) == "https://host/scene.tif"
