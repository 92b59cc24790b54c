"""Both orders of the search with parts that know the answer, and what the parts made of networks give."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, SamConfig, SamModel, ViTConfig, ViTModel

from s5_hf.change import (
    IdentifyMaskCompare,
    MaskCompareIdentify,
    ModelFeatures,
    NamedObjects,
    SamEverything,
    SegmenterObjects,
    SegmenterRecognizer,
    TextDetector,
)
from s5_hf.change.chosen_classes import ChosenClasses
from s5_hf.change.everything_mode import EverythingSettings
from s5_hf.change.masks import Masks
from s5_hf.change.sam import SamPrompts
from s5_hf.change.search import INSTANCE_ANGLE
from s5_hf.modeling import S5ForSemanticSegmentation, S5ViTConfig, S5ViTModel
from s5_hf.predictors import load_segmenters
from tests.change.parts import Colors, RedRegions, Roofs, pair
from tests.conftest import MICRO_VIT, micro_segmentation_config, randomise


def searches():
    return [
        MaskCompareIdentify(RedRegions(), Colors(), Roofs()),
        IdentifyMaskCompare(SegmenterObjects(Roofs()), Colors()),
    ]


@pytest.mark.parametrize("search", searches(), ids=["mci", "imc"])
def test_roofs_that_came_and_roofs_that_went_are_found(search):
    before, after, truth = pair()
    found = search.find(before, after)
    np.testing.assert_array_equal(found.masks.union(), truth)
    assert found.classes_before.tolist() == [0, 0]
    assert found.classes_after.tolist() == [1, 1]
    assert (found.angles > INSTANCE_ANGLE).all()
    assert (found.angles <= 180).all()
    assert found.confidences.tolist() == [1, 1]
    gone = search.find(after, before)
    np.testing.assert_array_equal(gone.masks.union(), truth)
    assert gone.classes_before.tolist() == [1, 1]
    assert gone.of_class(1).all()
    assert not gone.of_class(0).size or gone.of_class(0).all()


@pytest.mark.parametrize("search", searches(), ids=["mci", "imc"])
def test_nothing_changes_between_equal_images_and_images_without_any_object(search):
    _, after, _ = pair()
    assert len(search.find(after, after.copy())) == 0
    empty = np.full_like(after, 100)
    assert len(search.find(empty, empty.copy())) == 0


def test_a_roof_that_stays_is_no_change_for_either_order():
    box = (10, 12, 30, 28)
    before, after = pair(boxes=[box])[1], pair(boxes=[box, (50, 60, 80, 76)])[1]
    for search in searches():
        found = search.find(before, after)
        assert found.masks.boxes.tolist() == [[50, 60, 79, 75]]


def test_the_angle_decides_and_otsu_chooses_one():
    before, after, truth = pair()
    assert len(MaskCompareIdentify(RedRegions(), Colors(), Roofs(), least_angle=180).find(before, after)) == 0
    found = MaskCompareIdentify(RedRegions(), Colors(), Roofs(), least_angle=None).find(before, after)
    np.testing.assert_array_equal(found.masks.union(), truth)


def test_where_one_date_has_no_object_those_of_the_other_may_go_uncompared():
    before, after, truth = pair()
    finder = SegmenterObjects(Roofs())
    assert len(IdentifyMaskCompare(finder, Colors(), least_angle=180).find(before, after)) == 0
    found = IdentifyMaskCompare(finder, Colors(), least_angle=180, compare_lone_date=False).find(before, after)
    np.testing.assert_array_equal(found.masks.union(), truth)


def test_bad_images_and_thresholds_are_refused():
    search = searches()[0]
    image = pair()[0]
    with pytest.raises(ValueError, match="differ in size"):
        search.find(image, image[:50])
    with pytest.raises(ValueError, match="uint8"):
        search.find(image, image.astype(np.float32))
    with pytest.raises(ValueError, match="least angle"):
        MaskCompareIdentify(RedRegions(), Colors(), Roofs(), least_angle=200)
    with pytest.raises(ValueError, match="threshold"):
        MaskCompareIdentify(RedRegions(), Colors(), Roofs(), threshold=2)


class ThreeClasses:
    labels = ("water", "roof", "road")

    def probabilities(self, image):
        return torch.tensor([0.5, 0.3, 0.2])[:, None, None].expand(3, 4, 4)


def test_of_a_segmenter_with_many_classes_a_few_are_wanted_and_the_rest_is_background():
    chosen = ChosenClasses(ThreeClasses(), ["road", "roof"])
    assert chosen.labels == ["background", "road", "roof"]
    torch.testing.assert_close(chosen.probabilities(None)[:, 0, 0], torch.tensor([0.5, 0.2, 0.3]))
    with pytest.raises(ValueError, match="no class 'ship'; its classes: water, roof, road"):
        ChosenClasses(ThreeClasses(), ["ship"])
    for classes in ([], ["roof", "roof"]):
        with pytest.raises(ValueError, match="each class once"):
            ChosenClasses(ThreeClasses(), classes)


def test_a_segmenter_gives_probabilities_of_the_square_or_of_the_image():
    network = randomise(S5ForSemanticSegmentation(micro_segmentation_config()))
    segmenter = load_segmenters(network)[0]
    image = pair(side=60)[1]
    square = SegmenterRecognizer(segmenter, 32).probabilities(image)
    assert tuple(square.shape) == (3, 32, 32)
    torch.testing.assert_close(square.sum(dim=0), torch.ones(32, 32))
    assert tuple(SegmenterRecognizer(segmenter, None).probabilities(image).shape) == (3, 64, 64)
    with pytest.raises(ValueError, match="multiple of 16"):
        SegmenterRecognizer(segmenter, 40)


def micro_sam():
    torch.manual_seed(0)
    vision = {"hidden_size": 16, "output_channels": 16, "num_pos_feats": 8, "num_hidden_layers": 2, "mlp_dim": 32}
    vision |= {"num_attention_heads": 2, "image_size": 64, "patch_size": 8, "global_attn_indexes": [1]}
    decoder = {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    return SamModel(
        SamConfig(
            vision_config={**vision, "window_size": 4},
            prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 8, "mask_input_channels": 4},
            mask_decoder_config={**decoder, "iou_head_hidden_dim": 16},
        )
    ).eval()


def test_a_sam_is_asked_in_pixels_of_the_image_and_answers_in_them():
    sam = micro_sam()
    image = pair(side=96)[1][:48]
    prompts = SamPrompts(sam, image)
    logits, quality = prompts.at_points(np.array([[10.0, 20.0], [50.0, 30.0], [90.0, 40.0]]))
    assert tuple(logits.shape) == (3, 3, 48, 96)
    assert tuple(quality.shape) == (3, 3)
    assert tuple(prompts.in_boxes(np.array([[5.0, 6.0, 20.0, 30.0]]))[0].shape) == (1, 1, 48, 96)
    many = EverythingSettings(points_per_side=3, points_per_batch=4, quality=-9, stability=0, iou_threshold=1)
    once = EverythingSettings(points_per_side=3, points_per_batch=9, quality=-9, stability=0, iou_threshold=1)
    masks = SamEverything(sam, many).propose(image)
    np.testing.assert_array_equal(masks.planes(), SamEverything(sam, once).propose(image).planes())
    assert len(masks)


def test_features_cover_the_image_whatever_its_size():
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    image = pair(side=60)[1]
    dino = ModelFeatures(Dinov2Model(Dinov2Config(**small, image_size=28, patch_size=14)))
    vit = ModelFeatures(ViTModel(ViTConfig(**small, intermediate_size=16, image_size=32, patch_size=16)))
    own = ModelFeatures(S5ViTModel(S5ViTConfig(**MICRO_VIT)))
    assert tuple(dino.features(image).shape) == (16, 4, 4)
    assert tuple(vit.features(image[:30]).shape) == (16, 2, 4)
    assert tuple(own.features(image).shape) == (32, 4, 4)
    np.testing.assert_array_equal(dino.features(image), dino.features(image))


class BoxesByName:
    """A processor and detector in one: finds the box of each name it was asked for."""

    BOXES: ClassVar = {
        "roof": [10.0, 12.0, 30.0, 28.0],
        "house": [11.0, 12.0, 30.0, 28.0],
        "road": [50.0, 60.0, 80.0, 76.0],
    }
    device = torch.device("cpu")

    def __call__(self, images=None, text=None, padding=None, return_tensors=None, names=None):
        return names if names is not None else _Inputs(names=text[0])

    def eval(self):
        return self

    def post_process_grounded_object_detection(self, outputs, threshold, target_sizes):
        scores = torch.tensor([0.9 - 0.1 * index for index in range(len(outputs))])
        return [{"boxes": torch.tensor([self.BOXES[name] for name in outputs]), "scores": scores}]


class _Inputs(dict):
    def to(self, device):
        return self


def test_boxes_of_a_text_detector_are_filled_class_by_class():
    stub = BoxesByName()
    finder = TextDetector(stub, stub, micro_sam(), ["roof,house", "road"], boxes_per_batch=1)
    found = finder.find(pair()[1])
    assert finder.labels == ["background", "roof", "road"]
    assert isinstance(found, NamedObjects)
    assert found.classes.tolist() == [1, 2]  # the house lies on the roof and is dropped
    np.testing.assert_allclose(found.masks.scores, [0.9, 0.9])
    with pytest.raises(ValueError, match="at least one class"):
        TextDetector(stub, stub, micro_sam(), [])


def test_no_masks_at_all_give_no_changes():
    class Nothing:
        def propose(self, image):
            return Masks.none(*image.shape[:2])

    before, after, _ = pair()
    found = MaskCompareIdentify(Nothing(), Colors(), Roofs()).find(before, after)
    assert len(found) == 0
    assert found.angles.shape == (0,)
