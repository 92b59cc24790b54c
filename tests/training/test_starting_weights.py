"""Where a training starts from: what is said of a folder that is not there."""

import pytest
from transformers import AutoConfig

from s5_hf.training.starting_weights import read_config
from tests.conftest import MICRO_VIT


def test_a_missing_folder_is_named(monkeypatch, tmp_path):
    def unreachable(*arguments, **options):
        raise OSError("We couldn't connect")

    monkeypatch.setattr(AutoConfig, "from_pretrained", unreachable)
    with pytest.raises(
        OSError, match="there is no folder lite0 here, and the Hub gave no model of that name: We could"
    ):
        read_config("lite0")
    with pytest.raises(OSError, match=r"^We couldn't connect$"):  # the folder is there, its reader speaks
        read_config(str(tmp_path))


def test_a_folder_is_read(tmp_path):
    config = AutoConfig.for_model("s5_vit", **MICRO_VIT)
    config.save_pretrained(tmp_path)
    assert read_config(str(tmp_path)).hidden_size == config.hidden_size
