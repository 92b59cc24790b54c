"""Pre-training starts from any backbone of transformers, described in the recipe."""

import pytest
import torch
import yaml
from transformers import AutoBackbone, AutoConfig, AutoModelForSemanticSegmentation, ConvNextConfig, ResNetConfig

from s5_hf.training.pretraining.backbone_config import new_backbone_config
from s5_hf.training.pretraining.recipe import PretrainingModelSettings, PretrainingRecipe
from s5_hf.training.pretraining.starting_model import starting_model
from s5_hf.training.run_folder import read_log
from tests.training.pretraining import MICRO, pretrain

NO_VIT = MICRO[6:]  # the micro recipe without the sizes of a ViT
RESNET = {"model_type": "resnet", "depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32], "embedding_size": 8}
SMALL = {
    "resnet": ["resnet", "depths:[1,1,1,1]", "hidden_sizes:[8,16,24,32]", "embedding_size:8", "layer_type:basic"],
    "convnext": ["convnext", "depths:[1,1,1,1]", "hidden_sizes:[8,16,24,32]"],
    "swin": ["swin", "depths:[1,1,1,1]", "num_heads:[1,1,2,2]", "embed_dim:8", "window_size:4"],
    "s5_vit": ["s5_vit", "hidden_size:32", "num_hidden_layers:4", "num_attention_heads:4"],
}


def config_of(*words, crop_size=64, channels=3, **settings):
    return new_backbone_config(PretrainingModelSettings(backbone=list(words), **settings), crop_size, channels)


@pytest.mark.parametrize("name", SMALL)
def test_a_run_with_a_backbone_of_the_recipe(name, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.training.pretraining.MICRO", NO_VIT)
    pretrain(tmp_path, "--decoder_channels", "8", "--total_steps", "2", "--teacher", "ema", "--backbone", *SMALL[name])
    assert [entry["step"] for entry in read_log(tmp_path) if "loss" in entry] == [1, 2]
    loaded = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "segmenter").eval()
    assert loaded.config.backbone_config.model_type == name
    assert len(loaded.backbone.channels) == 4
    assert loaded(torch.zeros(1, 3, 64, 64)).logits.shape == (1, 3, 64, 64)
    teacher = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "teacher")
    assert not torch.equal(teacher.classifiers[0].weight, loaded.classifiers[0].weight)


def test_a_file_describes_the_backbone_as_a_mapping(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"backbone": RESNET}), encoding="utf-8")
    recipe = PretrainingRecipe.read([str(path)])
    config = new_backbone_config(recipe.model, 96, 4)
    assert (config.depths, config.hidden_sizes, config.num_channels) == ([1] * 4, [8, 16, 24, 32], 4)
    assert config.out_features == ["stage1", "stage2", "stage3", "stage4"]
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    assert PretrainingRecipe.read([str(path)]) == recipe


def test_the_recipe_gives_size_channels_and_drop_path_unless_the_backbone_says_otherwise():
    config = config_of("dinov2", "num_hidden_layers:8", crop_size=112, channels=5, drop_path_rate=0.3)
    assert (config.image_size, config.num_channels, config.drop_path_rate) == (112, 5, 0.3)
    assert config.out_indices == [2, 4, 6, 8]
    assert config_of("dinov2", "drop_path_rate:0.0", "out_indices:[6,12]").out_indices == [6, 12]


def test_an_s5_vit_of_another_width_has_the_inner_width_that_goes_with_it():
    assert config_of("s5_vit", "hidden_size:32", "num_attention_heads:4").intermediate_size == 128
    assert config_of("s5_vit", "num_hidden_layers:4").intermediate_size == 3072
    given = config_of("s5_vit", "hidden_size:32", "num_attention_heads:4", "intermediate_size:48")
    assert given.intermediate_size == 48


def test_a_configuration_comes_from_a_folder_and_its_weights_with_encoder(tmp_path):
    config = ConvNextConfig(depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32])  # one feature map, as saved by default
    encoder = AutoBackbone.from_config(config)
    encoder.save_pretrained(tmp_path)
    found = config_of(str(tmp_path), "hidden_act:relu")
    assert (found.hidden_sizes, found.hidden_act) == ([8, 16, 24, 32], "relu")
    settings = PretrainingModelSettings(encoder=str(tmp_path), decoder_channels=8)
    model = starting_model(settings, "blocks", ["a", "b"], 64)
    assert model.backbone.channels == [8, 16, 24, 32]
    assert len(AutoConfig.from_pretrained(tmp_path).out_features) == 1
    name = "embeddings.patch_embeddings.weight"
    assert torch.equal(model.backbone.state_dict()[name], encoder.state_dict()[name])


@pytest.mark.parametrize(
    ("words", "settings", "message"),
    [
        (["resnet", "depth:[1]"], {}, "a resnet has no setting depth; its settings: .*depths"),
        (["resnet", "depths"], {}, "'depths' is no setting; expected setting:value"),
        (["resnet", "depths:many"], {}, "a resnet cannot have these settings.*depths"),
        (["bert"], {}, "a bert is no backbone of transformers; backbones: .*convnext.*s5_vit"),
        (["model_type:resnext"], {}, "'resnext', which transformers does not know"),
        (["depths:[1]"], {}, "None, which transformers does not know"),
        (["resnet"], {"hidden_size": 8, "num_hidden_layers": 4, "num_attention_heads": 2}, "is for the S5 ViT"),
    ],
)
def test_what_is_no_backbone_is_refused(words, settings, message):
    with pytest.raises(ValueError, match=message):
        config_of(*words, **settings)


def test_names_that_no_model_has_are_refused():
    with pytest.raises(FileNotFoundError, match="there is no model folder resnext"):
        config_of("resnext")
    with pytest.raises(ValueError, match="backbone describes new weights"):
        PretrainingRecipe.make(backbone=["resnet"], encoder="a")


def test_sizes_that_contradict_one_another_are_refused():
    words = ["focalnet", "embed_dim:8", "depths:[1,1,1,1]", "hidden_sizes:[8,16,24,32]"]
    with pytest.raises(
        ValueError, match=r"have \[16, 32, 64, 64\] channels, its configuration says \[8, 16, 24, 32\]"
    ):
        starting_model(PretrainingModelSettings(backbone=words), "blocks", ["a", "b"], 64)


def test_the_type_is_that_of_transformers():
    assert isinstance(config_of("resnet"), ResNetConfig)
