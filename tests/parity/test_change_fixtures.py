"""DynamicEarth against its official code: masks, decisions and unions exactly, scores closely."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from s5_hf.change.comparison import change_angles, otsu_threshold, pixel_change_scores, scene_angle
from s5_hf.change.everything_mode import EverythingSettings, everything, point_grid, stability_scores
from s5_hf.change.joining import join_dates, without_counterpart
from s5_hf.change.masks import Masks
from s5_hf.change.recognition import is_instance_change, is_land_cover_change, mask_classes

FOLDER = Path(__file__).parent / "change"
HEIGHT, WIDTH = 30, 42


@functools.cache
def arrays(name):
    with np.load(FOLDER / f"{name}.npz") as content:
        return {key: content[key] for key in content.files}


def settings(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


GENERATOR, RULES = settings("change_mask_generator"), settings("change_rules")


def prompted(points):
    """What the official network gave at points."""
    fixture = arrays("change_mask_generator")
    rows = [int(np.abs(fixture["points"] - point).sum(axis=1).argmin()) for point in points]
    logits, quality = fixture["mask_logits"][rows], fixture["iou_predictions"][rows]
    return torch.from_numpy(logits).float(), torch.from_numpy(quality)


def test_points_stability_and_boxes():
    fixture = arrays("change_mask_generator")
    np.testing.assert_allclose(
        point_grid(GENERATOR["points_per_side"], GENERATOR["height"], GENERATOR["width"]), fixture["points"]
    )
    logits = torch.from_numpy(fixture["mask_logits"]).float()
    found = stability_scores(logits, 0.0, 0.9).flatten()
    np.testing.assert_array_equal(found.numpy(), fixture["stability_all_offset_0.9"])
    planes = (logits > 0).flatten(0, 1).numpy()
    np.testing.assert_array_equal(Masks.from_planes(planes).boxes, fixture["boxes_all"])


@pytest.mark.parametrize("case", GENERATOR["cases"])
@pytest.mark.parametrize("points_per_batch", [5, 16])
def test_everything_mode(case, points_per_batch):
    chosen = GENERATOR["cases"][case]
    found = everything(
        prompted,
        GENERATOR["height"],
        GENERATOR["width"],
        EverythingSettings(
            points_per_side=GENERATOR["points_per_side"],
            points_per_batch=points_per_batch,
            quality=GENERATOR["pred_iou_thresh"],
            stability=chosen["stability_score_thresh"],
            stability_offset=chosen["stability_score_offset"],
            iou_threshold=GENERATOR["box_nms_thresh"],
            minimum_region=chosen["min_mask_region_area"],
        ),
    )
    fixture = arrays("change_mask_generator")
    np.testing.assert_array_equal(found.planes(), fixture[f"{case}/masks"])
    np.testing.assert_array_equal(found.scores, fixture[f"{case}/iou"])
    if not chosen["min_mask_region_area"]:  # then the official code lists areas from before the cleaning
        np.testing.assert_array_equal(found.areas, fixture[f"{case}/areas"])


@functools.cache
def joined():
    fixture = arrays("change_rules")
    dates = (Masks.from_planes(fixture[f"join/masks_t{date}"], fixture[f"join/iou_t{date}"]) for date in (1, 2))
    return join_dates(*dates)


@functools.cache
def features():
    fixture = arrays("change_rules")
    rows, columns = fixture["compare/grid"]
    tokens = (torch.from_numpy(fixture[f"compare/tokens_t{date}"])[0, 1:] for date in (1, 2))
    return tuple(of_date.T.reshape(-1, rows, columns) for of_date in tokens)


def assert_kept(chosen, prefix):
    """Of the joined masks the right ones are chosen, of either date."""
    masks, count_before = joined()
    fixture = arrays("change_rules")
    np.testing.assert_array_equal(masks.select(chosen).planes(), fixture[f"{prefix}/kept_masks"])
    assert chosen[:count_before].sum() == fixture[f"{prefix}/kept_from_t1"]


def test_masks_of_two_dates():
    masks, count_before = joined()
    fixture = arrays("change_rules")
    np.testing.assert_array_equal(masks.planes(), fixture["join/kept_masks"])
    np.testing.assert_array_equal(masks.boxes, fixture["join/kept_boxes"])
    np.testing.assert_array_equal(masks.scores, fixture["join/kept_iou"])
    assert count_before == fixture["join/kept_from_t1"]


@pytest.mark.parametrize("theta", [110, 145, 170])
def test_comparison(theta):
    angles = change_angles(joined()[0], *features())
    np.testing.assert_allclose(-np.cos(np.radians(angles)), arrays("change_rules")["compare/scores"], atol=1e-5)
    assert_kept(angles > 180 - theta, f"compare/theta{theta}")


def test_otsu():
    fixture = arrays("change_rules")
    scores = pixel_change_scores(*features(), HEIGHT, WIDTH)
    np.testing.assert_allclose(scores.numpy(), fixture["compare/otsu/pixel_scores"], atol=1e-5)
    assert otsu_threshold(fixture["compare/otsu/pixel_scores"]) == pytest.approx(fixture["compare/otsu/threshold"])
    least = scene_angle(*features(), HEIGHT, WIDTH)
    assert least == pytest.approx(180 - fixture["compare/otsu/theta"], abs=1e-4)
    assert_kept(change_angles(joined()[0], *features()) > least, "compare/otsu")


@pytest.mark.parametrize("case", RULES["identify"])
def test_identification(case):
    chosen, fixture = RULES["identify"][case], arrays("change_rules")
    masks, count_before = joined()
    of_class = torch.tensor(chosen["query_idx"])
    classes = []
    for date in (1, 2):
        of_queries = torch.from_numpy(fixture[f"identify/{case}/logits_t{date}"]) * chosen["logit_scale"]
        probabilities = of_queries.softmax(dim=0)
        best = torch.stack([probabilities[of_class == index].amax(dim=0) for index in range(int(of_class.max()) + 1)])
        classes.append(mask_classes(masks, best, chosen["prob_thd"])[0])
        np.testing.assert_array_equal(classes[-1], fixture[f"identify/{case}/classes_t{date}"])
    is_change = is_instance_change if chosen["is_instance_class"] else is_land_cover_change
    changed = is_change(*classes, count_before)
    assert_kept(changed, f"identify/{case}")
    np.testing.assert_array_equal(masks.select(changed).union() * 255, fixture[f"identify/{case}/union"])


def test_instances():
    fixture = arrays("change_rules")
    before, after = (Masks.from_planes(fixture[f"instances/masks_t{date}"]) for date in (1, 2))
    np.testing.assert_allclose(after.overlaps(before), fixture["instances/iou_t2_t1"], rtol=1e-12)
    nothing = Masks.none(HEIGHT, WIDTH)
    for case, dates in {"both": (before, after), "only_t1": (before, nothing), "only_t2": (nothing, after)}.items():
        found, count_before = without_counterpart(*dates)
        np.testing.assert_array_equal(found.planes(), fixture[f"instances/{case}/kept_masks"])
        assert count_before == fixture[f"instances/{case}/kept_from_t1"]


def test_union():
    fixture = arrays("change_rules")
    union = Masks.from_planes(fixture["union/masks"]).union() * 255
    np.testing.assert_array_equal(union, fixture["union/correct"])
    assert not np.array_equal(union, fixture["union/official_wraps_to"])
    assert not Masks.none(6, 8).union().any()
