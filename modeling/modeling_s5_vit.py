"""The Vision Transformer of S5: plain blocks, task experts in the feed-forward part, four-level feature pyramid.

Source: S5 (arXiv 2508.12409), section "Multi-Dataset Fine-tuning" and eq. 8; the numerics are those of the official
release, and where it has a defect the code says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BackboneOutput, BaseModelOutputWithPooling
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils import can_return_tuple

from .configuration_s5_vit import S5ViTConfig
from .image_sizes import check_pixel_values, pad_to_patches
from .necks import S5FeaturePyramid
from .pretrained_model import S5PreTrainedModel
from .tasks import TaskGroups, group_rows
from .vit_embeddings import S5ViTEmbeddings

try:
    from transformers.backbone_utils import BackboneMixin
except ImportError:  # transformers < 5.3 keeps it elsewhere
    from transformers.utils.backbone_utils import BackboneMixin

ExpertIndex = int | Sequence[int] | torch.Tensor


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: object,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention written out, the one implementation that returns its weights `(batch, heads, tokens, tokens)`."""
    weights = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        weights = weights + attention_mask
    weights = nn.functional.softmax(weights, dim=-1, dtype=torch.float32).to(query.dtype)
    dropped = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(dropped, value).transpose(1, 2), weights


class S5ViTAttention(nn.Module):
    """Multi-head self-attention through the standard attention interface of transformers."""

    def __init__(self, config: S5ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.num_heads = config.num_attention_heads
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.projection = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self, hidden_states: torch.Tensor, output_attentions: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        batch_size, num_tokens, hidden_size = hidden_states.shape
        qkv = self.qkv(hidden_states).view(batch_size, num_tokens, 3, self.num_heads, self.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (batch, heads, tokens, head_dim)

        implementation = self.config._attn_implementation
        # Only the eager form has weights to return, so asking for them decides the implementation of this call.
        if output_attentions:
            implementation = "eager"
        # Spelt so that transformers, which looks for this in the file, lets `set_attn_implementation` act.
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention_forward)
        dropout = self.config.attention_dropout if self.training else 0.0
        context, weights = attention(self, query, key, value, None, dropout=dropout, scaling=self.scaling)
        return self.projection(context.reshape(batch_size, num_tokens, hidden_size)), weights


def drop_path(hidden_states: torch.Tensor, rate: float, training: bool) -> torch.Tensor:
    """Stochastic depth: drop the branch of a whole sample with probability `rate` and rescale the others.

    `hidden_states` has the samples in its first dimension, and at least one more.
    """
    if rate == 0.0 or not training:
        return hidden_states
    keep = torch.rand(len(hidden_states), *[1] * (hidden_states.ndim - 1), device=hidden_states.device) >= rate
    return hidden_states * keep.to(hidden_states.dtype) / (1.0 - rate)


class S5ViTFeedForward(nn.Module):
    """fc1, activation, fc2; with experts, the last `expert_channels` output channels of fc2 belong to the task.

    FFN-MoE (paper eq. 8): the task chooses the expert, there is no router, and the cost stays that of the dense ViT.
    """

    def __init__(self, config: S5ViTConfig) -> None:
        super().__init__()
        shared_channels = config.hidden_size - (config.expert_channels if config.num_experts else 0)
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.fc2 = nn.Linear(config.intermediate_size, shared_channels)
        self.experts = nn.ModuleList(
            nn.Linear(config.intermediate_size, config.expert_channels) for _ in range(config.num_experts)
        )

    def forward(self, hidden_states: torch.Tensor, groups: TaskGroups) -> torch.Tensor:
        """Tokens `(batch, tokens, hidden)`, rows sorted by task as `groups` says, to the same shape."""
        inner = self.activation(self.fc1(hidden_states))
        shared = self.fc2(inner)
        if not self.experts:
            return shared
        specific = [self.experts[group.index](inner[group.start : group.stop]) for group in groups]
        return torch.cat([shared, torch.cat(specific) if len(specific) > 1 else specific[0]], dim=-1)


class S5ViTLayer(GradientCheckpointingLayer):
    """One pre-norm block. Drop path acts on the feed-forward branch only, as in the official code."""

    def __init__(self, config: S5ViTConfig, drop_path_rate: float) -> None:
        super().__init__()
        self.drop_path_rate = drop_path_rate
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = S5ViTAttention(config)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = S5ViTFeedForward(config)

    def forward(
        self, hidden_states: torch.Tensor, groups: TaskGroups, output_attentions: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        context, weights = self.attention(self.attention_norm(hidden_states), output_attentions)
        hidden_states = hidden_states + context
        update = self.feed_forward(self.feed_forward_norm(hidden_states), groups)
        return hidden_states + drop_path(update, self.drop_path_rate, self.training), weights


class S5ViTEncoder(nn.Module):
    """The blocks, one after the other, keeping what was asked for."""

    def __init__(self, config: S5ViTConfig) -> None:
        super().__init__()
        depth = config.num_hidden_layers
        rates = torch.linspace(0, config.drop_path_rate, depth, device="cpu").tolist()
        self.layers = nn.ModuleList(S5ViTLayer(config, rate) for rate in rates)

    def forward(
        self, hidden_states: torch.Tensor, groups: TaskGroups, kept_stages: set[int], output_attentions: bool
    ) -> tuple[dict[int, torch.Tensor], tuple[torch.Tensor, ...] | None]:
        """The tokens of `kept_stages` in order (0 is the stem, k the output of block k), and the weights."""
        stages = {0: hidden_states} if 0 in kept_stages else {}
        attentions = []
        for stage, layer in enumerate(self.layers, start=1):
            hidden_states, weights = layer(hidden_states, groups, output_attentions)
            if stage in kept_stages:
                stages[stage] = hidden_states
            if output_attentions:
                attentions.append(weights)
        return stages, tuple(attentions) if output_attentions else None


@dataclass(frozen=True)
class Encoding:
    """What the blocks make of a batch, in the order of its images.

    Attributes:
        stages: tokens `(batch, rows * columns, hidden)` of the stages that are needed; 0 is the stem, k block k.
        grid: rows and columns of patches.
        hidden_states: the tokens of all stages, if they were asked for.
        attentions: the attention weights of all blocks, if they were asked for.
    """

    stages: dict[int, torch.Tensor]
    grid: tuple[int, int]
    hidden_states: tuple[torch.Tensor, ...] | None
    attentions: tuple[torch.Tensor, ...] | None


class S5ViTPreTrainedModel(S5PreTrainedModel):
    """What the ViT's classes share: the configuration, the initialisation and the encoding."""

    config_class = S5ViTConfig

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            init.trunc_normal_(module.weight, mean=0.0, std=self.config.initializer_range)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, S5ViTEmbeddings):
            init.trunc_normal_(module.position_embeddings, mean=0.0, std=self.config.initializer_range)
            init.zeros_(module.cls_token)

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.projection

    def _encode(
        self,
        pixel_values: torch.Tensor,
        expert_index: ExpertIndex | None,
        stages: Sequence[int],
        output_attentions: bool | None,
        output_hidden_states: bool | None,
    ) -> Encoding:
        """Check, pad and encode, and keep `stages`. Where a call is silent, the configuration says what to return."""
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        kept = set(range(self.config.num_hidden_layers + 1)) if output_hidden_states else set(stages)
        check_pixel_values(pixel_values, self.config.num_channels)
        groups = group_rows(expert_index, pixel_values.shape[0], self.config.num_experts)
        tokens, grid = self.embeddings(pad_to_patches(groups.sort(pixel_values), self.config.patch_size))
        sorted_stages, attentions = self.encoder(tokens, groups, kept, output_attentions)
        restored = {stage: groups.restore(tokens) for stage, tokens in sorted_stages.items()}
        hidden_states = tuple(restored.values()) if output_hidden_states else None
        return Encoding(restored, grid, hidden_states, groups.restore_all(attentions))


def tokens_to_map(tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Tokens `(batch, rows * columns, hidden)` to a map `(batch, hidden, rows, columns)`."""
    return tokens.transpose(1, 2).unflatten(2, grid)


class S5ViTModel(S5ViTPreTrainedModel):
    """The encoder: tokens of the last block, and their mean as the feature of the image.

    ```python
    >>> import torch, s5_hf
    >>> from transformers import AutoConfig, AutoModel
    >>> model = AutoModel.from_config(AutoConfig.from_pretrained("s5-vit-ti")).eval()
    >>> outputs = model(torch.zeros(1, 3, 64, 96))
    >>> outputs.last_hidden_state.shape, outputs.pooler_output.shape
    (torch.Size([1, 24, 192]), torch.Size([1, 192]))

    ```
    """

    # A checkpoint of the backbone holds the pyramid too; the plain encoder has no use for it.
    _keys_to_ignore_on_load_unexpected = [r"^feature_pyramid\."]  # noqa: RUF012 - transformers' own form

    def __init__(self, config: S5ViTConfig) -> None:
        super().__init__(config)
        self.embeddings = S5ViTEmbeddings(config)
        self.encoder = S5ViTEncoder(config)
        self.post_init()

    # `S5ViTBackbone.forward` has the same signature, written out because callers and exporters read it.
    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        expert_index: ExpertIndex | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: object,
    ) -> BaseModelOutputWithPooling | tuple:
        """Encode images.

        Args:
            pixel_values: normalised images `(batch, channels, height, width)`, any height and width.
            expert_index: which expert serves which image, one number for all or one per image; only with experts.
            output_attentions: also return the attention weights of every block (this call then runs eager attention).
            output_hidden_states: also return the tokens of the stem and of every block.

        Returns:
            `last_hidden_state` `(batch, patches, hidden)` and `pooler_output` `(batch, hidden)`, its mean.

        Raises:
            ValueError: for a wrong shape, an empty batch, or an expert the model does not have.
        """
        last = self.config.num_hidden_layers
        encoding = self._encode(pixel_values, expert_index, [last], output_attentions, output_hidden_states)
        return BaseModelOutputWithPooling(
            last_hidden_state=encoding.stages[last],
            pooler_output=encoding.stages[last].mean(dim=1),
            hidden_states=encoding.hidden_states,
            attentions=encoding.attentions,
        )


class S5ViTBackbone(BackboneMixin, S5ViTPreTrainedModel):
    """The encoder as a backbone: the official four-level pyramid, or the plain maps of its taps.

    ```python
    >>> import torch, s5_hf
    >>> from transformers import AutoBackbone, AutoConfig
    >>> backbone = AutoBackbone.from_config(AutoConfig.from_pretrained("s5-vit-ti")).eval()
    >>> [tuple(feature_map.shape) for feature_map in backbone(torch.zeros(1, 3, 64, 64)).feature_maps]
    [(1, 192, 16, 16), (1, 192, 8, 8), (1, 192, 4, 4), (1, 192, 2, 2)]

    ```
    """

    has_attentions = True

    def __init__(self, config: S5ViTConfig) -> None:
        super().__init__(config)
        if hasattr(self, "_init_backbone"):  # transformers < 5.3; later versions do it in BackboneMixin.__init__
            self._init_backbone(config)
        self.num_features = [config.hidden_size] * (config.num_hidden_layers + 1)
        if config.use_feature_pyramid and len(self.out_features) != 4:
            raise ValueError(
                f"the feature pyramid needs four taps, got {self.out_features}; "
                "set use_feature_pyramid=False for the plain maps of other taps"
            )
        self.embeddings = S5ViTEmbeddings(config)
        self.encoder = S5ViTEncoder(config)
        self.feature_pyramid = S5FeaturePyramid(config.hidden_size) if config.use_feature_pyramid else None
        self.post_init()

    # The signature of `S5ViTModel.forward`, written out because callers and exporters read it.
    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        expert_index: ExpertIndex | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: object,
    ) -> BackboneOutput | tuple:
        """Feature maps of images.

        Args: as for [`S5ViTModel.forward`].

        Returns:
            `feature_maps`: with the pyramid, four maps `(batch, hidden, ...)` at strides 4, 8, 16 and 32 of the
            padded image; without it, one map at the patch stride per tap.

        Raises:
            ValueError: for a wrong shape, an empty batch, or an expert the model does not have.
        """
        taps = [self.stage_names.index(name) for name in self.out_features]
        encoding = self._encode(pixel_values, expert_index, taps, output_attentions, output_hidden_states)
        maps = [tokens_to_map(encoding.stages[tap], encoding.grid) for tap in taps]
        return BackboneOutput(
            feature_maps=tuple(self.feature_pyramid(maps) if self.feature_pyramid is not None else maps),
            hidden_states=encoding.hidden_states,
            attentions=encoding.attentions,
        )


__all__ = ["S5ViTBackbone", "S5ViTModel", "S5ViTPreTrainedModel"]
