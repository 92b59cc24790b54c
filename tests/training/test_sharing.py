"""How processes share a network: settings of DDP, unused parameters, and sharded weights in two processes."""

from types import SimpleNamespace

import pytest
import torch
from accelerate import DistributedDataParallelKwargs, DistributedType, FullyShardedDataParallelPlugin
from transformers import AutoModelForSemanticSegmentation, SwinConfig

from s5_hf.files.processes import LONGEST_WAIT
from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig
from s5_hf.training.checkpointing.checkpoints import Checkpoints
from s5_hf.training.checkpointing.data_listing import DataListing
from s5_hf.training.checkpointing.resumption import require_unchanged
from s5_hf.training.errors import CheckpointError
from s5_hf.training.run_folder import read_log
from s5_hf.training.setup import make_accelerator
from s5_hf.training.sharing import freeze_unused, has_statistics_of_its_own, prepare_sharing, settle_parts
from tests.fresh_process import run_in_processes
from tests.training.finetuning import micro_recipe
from tests.training.pretraining import weights_of

SHAPE = torch.Size((2, 3, 64, 64))


@pytest.fixture
def swin_segmenter():
    """A Swin without its stem as a map, some of whose parameters no map depends on."""
    backbone = SwinConfig(
        embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4, image_size=64,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    return S5ForSemanticSegmentation(
        S5SegmentationConfig(backbone_config=backbone, tasks={"blocks": ["red", "green"]}, decoder_channels=8)
    ).train()


def fake_accelerator(kind=DistributedType.MULTI_GPU):
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, auto_wrap_policy="transformer_based_wrap")
    return SimpleNamespace(
        num_processes=2,
        distributed_type=kind,
        ddp_handler=DistributedDataParallelKwargs(),
        state=SimpleNamespace(fsdp_plugin=plugin),
    )


def test_what_no_map_depends_on_is_frozen_and_nothing_else(swin_segmenter):
    images = torch.randn(SHAPE)
    swin_segmenter(images).logits.sum().backward()
    expected = {name for name, parameter in swin_segmenter.backbone.named_parameters() if parameter.grad is None}
    modes = [module.training for module in swin_segmenter.modules()]
    assert set(freeze_unused(swin_segmenter, SHAPE)) == expected and expected
    frozen = {name for name, parameter in swin_segmenter.backbone.named_parameters() if not parameter.requires_grad}
    assert frozen == expected
    assert [module.training for module in swin_segmenter.modules()] == modes
    assert freeze_unused(swin_segmenter, SHAPE) == []


def test_an_s5_vit_uses_everything(dense_model):
    dense_model(torch.randn(2, 3, 64, 64)).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in dense_model.parameters())
    assert freeze_unused(dense_model, SHAPE) == []


def test_statistics_are_sent_around_only_where_each_process_has_its_own(dense_model):
    accelerator = fake_accelerator()
    prepare_sharing(accelerator, dense_model.train(), None)
    assert accelerator.ddp_handler.broadcast_buffers
    shared = torch.nn.SyncBatchNorm.convert_sync_batchnorm(dense_model)
    assert not has_statistics_of_its_own(shared)
    prepare_sharing(accelerator, shared, None)
    assert not accelerator.ddp_handler.broadcast_buffers


def test_sharded_weights_need_the_same_statistics_everywhere(dense_model):
    with pytest.raises(ValueError, match="all processes need the same batch statistics"):
        prepare_sharing(fake_accelerator(DistributedType.FSDP), dense_model.train(), None)


def test_layers_are_shared_whole_and_in_float32(moe_model):
    plugin = fake_accelerator().state.fsdp_plugin
    plugin.set_mixed_precision("bf16")
    settle_parts(plugin, moe_model)
    assert plugin.transformer_cls_names_to_wrap == ["S5FeaturePyramid", "S5ViTLayer", "UPerNetDecoder"]
    assert plugin.mixed_precision_policy.param_dtype == torch.float32


def test_gradients_lie_where_they_are_exchanged_and_processes_wait(tmp_path):
    accelerator = make_accelerator(micro_recipe("--output_dir", str(tmp_path)))
    assert accelerator.ddp_handler.gradient_as_bucket_view
    assert accelerator.init_handler.timeout == LONGEST_WAIT


TELLS = "s5_hf.training.every_process.broadcast_object_list"


def test_the_main_process_decides_what_is_resumed(tmp_path, monkeypatch):
    """The second process sees another folder, as on a file system that is late, and does what it is told."""
    recipe = micro_recipe("--output_dir", str(tmp_path), "--resume", "auto")
    kind = SimpleNamespace(recipe=recipe)
    told = tmp_path / "checkpoints" / "step-00000004"
    for answer in (told, None, CheckpointError("holds checkpoints already")):
        monkeypatch.setattr(TELLS, lambda found, answer=answer: [answer])
        checkpoints = Checkpoints(kind, SimpleNamespace(is_main_process=False))
        if isinstance(answer, CheckpointError):
            with pytest.raises(CheckpointError, match="holds checkpoints already"):
                checkpoints.to_resume()
        else:
            assert checkpoints.to_resume() == answer


def checkpoints_of(folder, is_main_process):
    kind = SimpleNamespace(recipe=micro_recipe("--output_dir", str(folder)))
    return Checkpoints(kind, SimpleNamespace(is_main_process=is_main_process, num_processes=2))


def test_the_main_process_reads_the_description_of_a_checkpoint_for_all(tmp_path, monkeypatch):
    """The second process sees no checkpoint yet; what it is told it checks as the first one does."""
    missing, told = tmp_path / "checkpoints" / "step-00000004", []
    monkeypatch.setattr(TELLS, lambda answer: told.extend(answer) or answer)
    with pytest.raises(CheckpointError, match=r"step-00000004 is not the checkpoint of a run"):
        checkpoints_of(tmp_path, is_main_process=True).load(missing)
    assert isinstance(told[0], CheckpointError)
    monkeypatch.setattr(TELLS, lambda answer: told)
    with pytest.raises(CheckpointError, match=r"step-00000004 is not the checkpoint of a run"):
        checkpoints_of(tmp_path, is_main_process=False).load(missing)
    other = micro_recipe("--output_dir", str(tmp_path), "--seed", "5").to_dict()
    told[:] = [{"step": 4, "processes": 2, "recipe": other}]
    with pytest.raises(
        CheckpointError, match=r"step-00000004 belongs to another recipe\. Keys that differ: .*seed: 5 "
    ):
        checkpoints_of(tmp_path, is_main_process=False).load(missing)


def test_no_process_goes_on_where_another_cannot_load_its_state(tmp_path, monkeypatch):
    """The second process fails to load; the first one, which has loaded, learns it from the sum of the failures."""

    def missing(*arguments):
        raise CheckpointError("random_states_1.pkl does not hold the random states")

    for load, of_others, message in (
        (missing, 0, r"^random_states_1\.pkl does not hold"),
        (lambda *arguments: None, 1, r"step-00000004 cannot be loaded: another process could not load its part"),
    ):
        monkeypatch.setattr("s5_hf.training.checkpointing.checkpoints.load_state", load)
        checkpoints = checkpoints_of(tmp_path, is_main_process=True)
        checkpoints.accelerator.device = "cpu"
        checkpoints.accelerator.reduce = lambda failed, how, of_others=of_others: failed + of_others
        with pytest.raises(CheckpointError, match=message):
            checkpoints._load_state(tmp_path / "step-00000004", force=False, with_random_numbers=True)
    checkpoints.accelerator.reduce = lambda failed, how: failed
    checkpoints._load_state(tmp_path / "step-00000004", force=False, with_random_numbers=True)


def test_a_listing_that_cannot_be_read_is_an_error_on_every_process(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(TELLS, lambda answer: told.extend(answer) or answer)

    def changes():
        return DataListing.load(tmp_path).entries

    for is_main_process in (True, False):
        with pytest.raises(CheckpointError, match=r"data\.json\.gz does not say which data"):
            require_unchanged(SimpleNamespace(is_main_process=is_main_process), tmp_path, changes, force=False)
        monkeypatch.setattr(TELLS, lambda answer: told)
    assert len(told) == 1


DRIVER = """
import os, sys
from pathlib import Path
from tests.training.sharded import main
main(Path(sys.argv[1]), int(os.environ["RANK"]))
print("ended", flush=True)
os._exit(0)  # the connection is still open, and the other process need not be there any more
"""


def test_sharded_runs_train_save_resume_exactly_and_load_in_one_process(tmp_path):
    run_in_processes(2, DRIVER, tmp_path)
    whole, parts = weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts")
    assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())
    losses = [[entry["loss"] for entry in read_log(tmp_path / run) if "loss" in entry] for run in ("whole", "parts")]
    assert losses[0] == losses[1] and len(losses[0]) == 2

    images = torch.zeros(1, 3, 64, 64)
    for folder in ("segmenter", "teacher", "average", "best/mean"):
        model = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "whole" / folder)
        assert model(images).logits.isfinite().all()
        assert model.config.architectures == ["S5ForSemanticSegmentation"]
    for task in ("blocks", "halves"):
        model = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "joint" / "best" / task)
        assert list(model.config.tasks) == [task]
    assert len([entry for entry in read_log(tmp_path / "swin") if "loss" in entry]) == 2
