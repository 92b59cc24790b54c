r"""MAE initialisation on images without labels, because S4 pre-training starts from MAE weights.

    # a tiny encoder for examples/recipes/s4p_tiny_cpu.yaml, on one CPU
    python examples/pretrain_mae.py --dataset s5-million-aid --data-dir my-images --output-dir runs/mae_tiny \
        --hidden-size 128 --num-hidden-layers 8 --num-attention-heads 4 --decoder-hidden-size 64 --crop-size 192
    python examples/pretrain_s4p.py examples/recipes/s4p_tiny_cpu.yaml --encoder runs/mae_tiny/encoder ...

    # ViT-B on 8 GPUs
    accelerate launch --num_processes 8 examples/pretrain_mae.py --dataset s5-million-aid --data-dir data/MillionAID \
        --mixed-precision bf16 --batch-size 128 --total-steps 400000 --output-dir runs/mae_vit_b --streaming

The network is transformers' `ViTMAEForPreTraining`; encoder/ in the folder of the run is the S5 ViT made from it.
Stopped by Ctrl-C, SIGTERM or SIGUSR1, the same command goes on with --resume auto.
"""

import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from tqdm import tqdm
from transformers import ViTMAEConfig, ViTMAEForPreTraining

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.conversion import convert_checkpoint
from s5_hf.files.disk_space import tensor_bytes
from s5_hf.modeling.aligned_weights import align_weights
from s5_hf.scripts import run_script
from s5_hf.training.batches import IndexedBatches, Row, StreamedBatches
from s5_hf.training.checkpointing.resumption import FORCE
from s5_hf.training.checkpointing.simple_checkpoints import SimpleCheckpoints
from s5_hf.training.optimizer import make_optimizer
from s5_hf.training.pretraining.data import load_split
from s5_hf.training.pretraining.setup import listed_on_main_process
from s5_hf.training.recipe_reading import RecipeParser, require_not_negative, require_positive
from s5_hf.training.run_lock import locked_folder
from s5_hf.training.schedules import learning_rate_factor, set_learning_rate
from s5_hf.training.signals import StopSignals
from s5_hf.training.step_meter import require_finite, require_finite_weights
from s5_hf.training.views.strong import normalize, to_unit_range
from s5_hf.training.views.weak import SampleView, WeakView


@dataclass
class MAESettings:
    """The settings of a MAE run; the values are those of MAE's paper (arXiv 2111.06377) for ViT-B."""

    dataset: str = field(default="s5-million-aid", metadata={"help": "name of an unlabelled or labelled dataset"})
    data_dir: str | None = field(default=None, metadata={"help": "its data_dir"})
    split: str = field(default="train", metadata={"help": "its split"})
    streaming: bool = field(default=False, metadata={"help": "stream it instead of indexing it"})
    classes: list[str] = field(default_factory=list, metadata={"help": "of a labelled dataset without known ones"})
    crop_size: int = field(default=224, metadata={"help": "side of the crops in pixels"})
    scale_range: list[float] = field(default_factory=lambda: [0.75, 1.5], metadata={"help": "of the random scale"})
    hidden_size: int = field(default=768, metadata={"help": "width of the encoder"})
    num_hidden_layers: int = field(default=12, metadata={"help": "its depth"})
    num_attention_heads: int = field(default=12, metadata={"help": "its heads"})
    decoder_hidden_size: int = field(default=512, metadata={"help": "width of MAE's decoder"})
    decoder_num_hidden_layers: int = field(default=8, metadata={"help": "its depth"})
    decoder_num_attention_heads: int = field(default=16, metadata={"help": "its heads"})
    mask_ratio: float = field(default=0.75, metadata={"help": "share of the patches that are hidden"})
    total_steps: int = field(default=100_000, metadata={"help": "optimizer steps"})
    warmup_steps: int = field(default=1000, metadata={"help": "steps of linear warm-up"})
    batch_size: int = field(default=64, metadata={"help": "images per process"})
    learning_rate: float = field(default=1.5e-4, metadata={"help": "highest learning rate"})
    weight_decay: float = field(default=0.05, metadata={"help": "of all parameters but norms and positions"})
    mixed_precision: Literal["no", "fp16", "bf16"] = field(default="no", metadata={"help": "precision"})
    num_workers: int = field(default=4, metadata={"help": "processes that decode and crop"})
    seed: int = field(default=0, metadata={"help": "of weights, order and masks"})
    output_dir: str = field(default="runs/mae", metadata={"help": "folder of the run"})
    checkpoint_steps: int = field(default=5000, metadata={"help": "steps between checkpoints"})
    resume: str | None = field(
        default=None,
        metadata={
            "help": "'auto' to go on with the run's checkpoint if there is one, or the folder of one; 'force' as "
            "'auto', even if files of the checkpoint or the data have changed"
        },
    )

    def __post_init__(self) -> None:
        counts = ("crop_size", "total_steps", "batch_size", "checkpoint_steps", "decoder_num_hidden_layers")
        heads = {"hidden_size": "num_attention_heads", "decoder_hidden_size": "decoder_num_attention_heads"}
        require_positive({name: getattr(self, name) for name in (*counts, *heads.values())})
        require_not_negative({"num_workers": self.num_workers, "seed": self.seed})
        if self.num_hidden_layers < 4:
            raise ValueError(f"num_hidden_layers must be at least 4, got {self.num_hidden_layers}")
        for width, count in heads.items():
            if getattr(self, width) < 1 or getattr(self, width) % getattr(self, count):
                raise ValueError(
                    f"{width} must be a multiple of {count} {getattr(self, count)}, got {getattr(self, width)}"
                )
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f"mask_ratio must lie between 0 and 1, got {self.mask_ratio}")
        if len(self.scale_range) != 2 or not 0 < self.scale_range[0] <= self.scale_range[1]:
            raise ValueError(f"scale_range must be two rising numbers above 0, got {self.scale_range}")
        if self.crop_size % 16:
            raise ValueError(f"crop_size {self.crop_size} is not a multiple of the patch size 16")


FREE_TO_CHANGE = frozenset({"resume", "num_workers", "output_dir", "data_dir", "checkpoint_steps"})
"""Settings that may change when a run is taken up, because they do not change its result."""
UNTOUCHED = "The last checkpoint, if there is one, is as it was."


def make_model(settings: MAESettings) -> ViTMAEForPreTraining:
    """The network; its encoder has the shape that an S5 ViT can take."""
    config = ViTMAEConfig(
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.num_hidden_layers,
        num_attention_heads=settings.num_attention_heads,
        intermediate_size=4 * settings.hidden_size,
        decoder_hidden_size=settings.decoder_hidden_size,
        decoder_num_hidden_layers=settings.decoder_num_hidden_layers,
        decoder_num_attention_heads=settings.decoder_num_attention_heads,
        decoder_intermediate_size=4 * settings.decoder_hidden_size,
        image_size=settings.crop_size,
        patch_size=16,
        mask_ratio=settings.mask_ratio,
        norm_pix_loss=True,
        layer_norm_eps=1e-6,
    )
    return ViTMAEForPreTraining(config)


def main(arguments: Sequence[str] | None = None, samples: Any | None = None) -> None:
    """Run MAE from the command line, or on samples of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    (settings,) = RecipeParser(MAESettings, description=__doc__).parse_args_into_dataclasses(
        arguments, look_for_args_file=False
    )
    require_no_result(settings)
    with StopSignals() as signals, locked_folder(Path(settings.output_dir)):
        complete = run(settings, samples, signals)
    if not complete:
        print("stopped; go on with --resume auto")
        sys.exit(128 + (signals.received or signal.SIGTERM))


def require_no_result(settings: MAESettings) -> None:
    """Raise a FileExistsError where the result is there already, before anything is made."""
    encoder = Path(settings.output_dir) / "encoder"
    if encoder.exists():
        raise FileExistsError(f"{encoder} exists already; remove it or choose another output_dir")


def run(settings: MAESettings, samples: Any | None, signals: StopSignals) -> bool:
    """Make all steps and save the encoder, or stop early when asked to; returns whether all were made."""
    accelerator = Accelerator(mixed_precision=settings.mixed_precision)
    output_dir = Path(settings.output_dir)
    if samples is None:
        options = {"classes": settings.classes} if settings.classes else {}
        samples = load_split(settings.dataset, settings.data_dir, settings.split, settings.streaming, options)
    identity = {key: value for key, value in asdict(settings).items() if key not in FREE_TO_CHANGE}
    data = listed_on_main_process(accelerator, {"images": samples})
    checkpoints = SimpleCheckpoints(output_dir / "checkpoint", accelerator, identity, data)
    resumed_from = checkpoints.to_resume(settings.resume)
    set_seed(settings.seed)
    model = make_model(settings).to(accelerator.device)
    optimizer = make_optimizer(model, settings.learning_rate, settings.weight_decay, betas=(0.9, 0.95))
    align_weights(model)  # a resumed run gives the same bits only with weights at such addresses
    model, optimizer = accelerator.prepare(model, optimizer)
    set_seed(settings.seed, device_specific=True)
    first = 0 if resumed_from is None else checkpoints.load(resumed_from, force=settings.resume == FORCE)
    rows = make_batches(settings, samples, accelerator).start(first)
    complete = train(settings, accelerator, model, optimizer, rows, checkpoints, first, signals)
    if complete and accelerator.is_main_process:
        save_encoder(accelerator.unwrap_model(model), settings, output_dir)
    accelerator.wait_for_everyone()
    del model, optimizer  # before the processes part: see `release` in s5_hf/training/running.py
    accelerator.free_memory()
    accelerator.end_training()
    return complete


def make_batches(settings: MAESettings, samples: Any, accelerator: Accelerator) -> IndexedBatches | StreamedBatches:
    """Endless batches of this process."""
    view = SampleView(WeakView(settings.crop_size, tuple(settings.scale_range)), settings.seed, "mae")
    return (IndexedBatches if hasattr(samples, "__len__") else StreamedBatches)(
        samples,
        view,
        settings.batch_size,
        settings.seed,
        accelerator.process_index,
        accelerator.num_processes,
        settings.num_workers,
    )


def train(
    settings: MAESettings,
    accelerator: Accelerator,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    rows: Iterator[Row],
    checkpoints: SimpleCheckpoints,
    first: int,
    signals: StopSignals,
) -> bool:
    """Make the steps from `first` on; returns whether all were made. The last state is always saved."""
    bytes_needed = 3 * tensor_bytes(model.state_dict())  # the weights and AdamW's two moments
    bar = tqdm(range(first, settings.total_steps), unit="step", disable=not accelerator.is_main_process)
    for step in bar:
        factor = learning_rate_factor("cosine", step, settings.total_steps, settings.warmup_steps)
        set_learning_rate(optimizer, factor)
        images = to_unit_range(next(rows)["image"].to(accelerator.device))
        pixels = normalize(images, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        with accelerator.autocast():
            loss = model(pixels).loss
        accelerator.backward(loss)
        # One exchange tells every process the loss, and whether one of them was asked to stop.
        told = torch.stack([loss.detach().float(), loss.new_tensor(float(signals.received > 0)).float()])
        mean_loss, stop = accelerator.reduce(told, "mean").tolist()
        require_finite({"loss": mean_loss}, step, UNTOUCHED)
        optimizer.step()
        optimizer.zero_grad()
        bar.set_postfix(loss=f"{mean_loss:.4f}")
        finished = step + 1 == settings.total_steps
        if stop or finished or (step + 1) % settings.checkpoint_steps == 0:
            require_finite_weights([model], accelerator, step + 1, UNTOUCHED)
            checkpoints.save(step + 1, bytes_needed)
        if stop and not finished:
            return False
    return True


def save_encoder(model: ViTMAEForPreTraining, settings: MAESettings, output_dir: Path) -> None:
    """Save MAE's network, and its encoder as an S5 ViT."""
    model.save_pretrained(output_dir / "mae")
    convert_checkpoint(
        output_dir / "mae",
        output_dir / "encoder",
        num_attention_heads=settings.num_attention_heads,
        image_size=settings.crop_size,
    )


if __name__ == "__main__":
    run_script(main)
