"""How the processes of a run share one network: whole on each (DDP) or in parts (FSDP 2)."""

from collections.abc import Sequence

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType, FullyShardedDataParallelPlugin
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy
from transformers import PreTrainedModel

from ..files.processes import patient_accelerator
from ..modeling.modeling_s5_vit import S5ViTBackbone
from ..semi_supervised.pseudo_labels import evaluating


def sharing_accelerator(mixed_precision: str, trackers: Sequence[str], folder: str) -> Accelerator:
    """Accelerate as every run uses it: gradients lie where they are exchanged, and processes wait patiently."""
    return patient_accelerator(
        mixed_precision=mixed_precision,
        log_with=list(trackers) or None,
        project_dir=folder,
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
    )


def prepare_sharing(accelerator: Accelerator, model: nn.Module, images: torch.Size | None) -> None:
    """Settle what depends on the network, before it is prepared.

    Args:
        accelerator: whose processes share it.
        model: the bare network, on its device, in train mode.
        images: shape of a batch that it takes; `None` where that is not known.

    Raises:
        ValueError: if the weights are sharded, and each process would gather batch statistics of its own.
    """
    if accelerator.num_processes == 1:
        return
    own_statistics = has_statistics_of_its_own(model)
    accelerator.ddp_handler.broadcast_buffers = own_statistics
    if images is not None:
        freeze_unused(model, images)
    if is_sharded(accelerator):
        if own_statistics:
            raise ValueError(
                "with FSDP all processes need the same batch statistics: sync_batch_norm (on GPUs) or frozen ones"
            )
        settle_parts(accelerator.state.fsdp_plugin, model)


def settle_parts(plugin: FullyShardedDataParallelPlugin, model: nn.Module) -> None:
    """Which layers are shared as a whole, and in which precision weights travel; the plugin is changed in place."""
    # Autocast chooses the precision of each operation, so that norms stay in float32, as with DDP. Weights cast as a
    # whole would give batch norm bfloat16 factors and float32 statistics, which it does not take.
    plugin.mixed_precision_policy = MixedPrecisionPolicy(param_dtype=torch.float32, reduce_dtype=torch.float32)
    if plugin.transformer_cls_names_to_wrap is None:
        # Accelerate takes the first layer by itself, so nothing that holds it may be taken as a whole; and it refuses
        # a class that this network does not have.
        first = model.get_input_embeddings() if isinstance(model, PreTrainedModel) else None
        whole = {type(module).__name__ for module in model.modules() if first not in list(module.modules())[1:]}
        unsplit = whole.intersection(getattr(model, "_no_split_modules", None) or ())
        plugin.transformer_cls_names_to_wrap = sorted(unsplit) or None


def has_statistics_of_its_own(model: nn.Module) -> bool:
    """Whether a process gathers batch statistics that the others do not have; then those of the first one count."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    return any(norm.training and not isinstance(norm, nn.SyncBatchNorm) for norm in norms)


def freeze_unused(model: nn.Module, images: torch.Size) -> list[str]:
    """Let no process wait for gradients of backbone parameters that no feature map depends on; returns their names.

    Backbones of transformers have some: the last norm of a Swin, or blocks behind the last map. The optimizer keeps
    them and never changes them, as before.

    Args:
        model: with a `backbone`; an S5 ViT uses all of its parameters and is not looked at.
        images: shape of a batch that it takes.
    """
    backbone = getattr(model, "backbone", None)
    if backbone is None or isinstance(backbone, S5ViTBackbone):
        return []
    named = [(name, parameter) for name, parameter in backbone.named_parameters() if parameter.requires_grad]
    if not named:
        return []
    with evaluating(backbone), torch.enable_grad():
        maps = backbone(torch.zeros(images, device=named[0][1].device)).feature_maps
        total = sum(feature_map.float().sum() for feature_map in maps)
        gradients = torch.autograd.grad(total, [parameter for _, parameter in named], allow_unused=True)
    unused = [pair for pair, gradient in zip(named, gradients, strict=True) if gradient is None]
    for _, parameter in unused:
        parameter.requires_grad_(False)
    return [name for name, _ in unused]


def is_sharded(accelerator: Accelerator) -> bool:
    """Whether each process holds a part of the weights."""
    return accelerator.distributed_type == DistributedType.FSDP


def refuse_sharding(accelerator: Accelerator, needs: str) -> None:
    """Raise a ValueError for FSDP of version 1, and where something needs whole weights; `needs` says what."""
    if not is_sharded(accelerator):
        return
    if accelerator.state.fsdp_plugin.fsdp_version != 2:
        raise ValueError("FSDP of version 1 is not supported: choose version 2 (accelerate launch --fsdp_version 2)")
    if needs:
        raise ValueError(f"{needs}: this needs whole weights, which FSDP does not keep; use DDP")
