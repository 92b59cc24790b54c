"""SPECIAL against its official code: stretch, first labels, network, losses, gradients, a step of Adam, refinement."""

import math

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch.nn import functional
from torch.testing import assert_close

from s5_hf.evaluation.accuracy.estimates import cohens_kappa
from s5_hf.hyperspectral.augmentation import CubeAugmentation
from s5_hf.hyperspectral.first_labels import confidence, fused_scores
from s5_hf.hyperspectral.kind import marked_cross_entropy, predict_window
from s5_hf.hyperspectral.label_refinement import class_likelihoods, principal_components, split_by_confidence
from s5_hf.hyperspectral.recipe import RefinementSettings
from s5_hf.hyperspectral.value_stretch import ValueStretch
from s5_hf.modeling import MambaHSIConfig, MambaHSIForSemanticSegmentation
from tests.parity.hyperspectral_fixtures import FIXTURES, TOLERANCE

CLASSES, BANDS = 3, 10
LEARNING_RATE = 0.01


def network(prefix):
    model = MambaHSIForSemanticSegmentation(MambaHSIConfig(num_channels=BANDS, num_labels=CLASSES))
    model.load_state_dict(FIXTURES.tensors(prefix))
    return model


def turned_as_released(cube, angle):
    """The official turn: by interpolation, inside the same height and width."""
    turn = math.radians(angle)
    matrix = torch.tensor([[[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0]]])
    grid = functional.affine_grid(matrix, list(cube.shape), align_corners=False)
    return functional.grid_sample(cube, grid, align_corners=False)


def test_stretch():
    values = FIXTURES.arrays["rsshow/rgb_in"]
    stretch = ValueStretch.between_quantiles([values], 0.001, values.size)
    np.testing.assert_allclose(stretch(values), FIXTURES.arrays["rsshow/rgb_out"], atol=1e-7)


def test_first_labels():
    seen = []

    def scores(picture):
        seen.append(picture)
        return FIXTURES.arrays[f"stage1/scores_{len(seen) - 1}"]

    fused = fused_scores(FIXTURES.arrays["rsshow/rgb_out"], scores)
    for index, picture in enumerate(seen):
        np.testing.assert_allclose(picture, FIXTURES.arrays[f"stage1/zoomed_image_{index}"], atol=1e-6)
    np.testing.assert_allclose(fused.transpose(1, 2, 0), FIXTURES.arrays["stage1/fused"], atol=1e-6)
    np.testing.assert_array_equal(fused.argmax(axis=0) + 1, FIXTURES.arrays["stage1/pseudo_label"])
    np.testing.assert_allclose(confidence(fused), FIXTURES.arrays["stage1/bvsb"], atol=1e-6)


@pytest.mark.parametrize(("step", "prefix"), [(0, "model/init/"), (10, "step/10/before/")])
def test_a_step(step, prefix):
    model = network(prefix)
    augmented = torch.from_numpy(FIXTURES.arrays[f"step/{step}/augmented"])
    logits = model(augmented).logits
    assert_close(logits, torch.from_numpy(FIXTURES.arrays[f"step/{step}/logits_augmented"]), **TOLERANCE)

    angle, mirrored = {0: (0, False), 10: (90, True)}[step]
    restored = turned_as_released(logits.flip(3) if mirrored else logits, -angle)[0]
    assert_close(restored[None], torch.from_numpy(FIXTURES.arrays[f"step/{step}/logits"]), **TOLERANCE)

    first = torch.from_numpy(FIXTURES.arrays["stage1/pseudo_label"].astype(np.int64)) - 1
    one_hot = functional.one_hot(first, CLASSES).permute(2, 0, 1).float()
    random = marked_cross_entropy(restored, one_hot, FIXTURES.arrays[f"random/{step}/weight"] > 0)
    losses = {"random": random}
    loss = random
    if step:
        settings = RefinementSettings()
        for name, weight in (("hard", settings.hard_weight), ("confident", settings.confident_weight)):
            targets = torch.from_numpy(FIXTURES.arrays[f"refine/{name}_target"]).permute(2, 0, 1)
            losses[name] = marked_cross_entropy(restored, targets, FIXTURES.arrays[f"refine/{name}_weight"] > 0)
            loss = loss + weight * losses[name]
    expected = {
        0: {"random": 1.0586086511611938},
        10: {"random": 0.34083330631256104, "hard": 0.7392748594284058, "confident": 0.31488004326820374},
    }
    for name, value in expected[step].items():
        assert losses[name].item() == pytest.approx(value, rel=1e-4), name

    loss.backward()
    gradients = FIXTURES.tensors(f"step/{step}/grad/")
    assert set(gradients) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        assert_close(parameter.grad, gradients[name], msg=lambda text, name=name: f"{name}: {text}", **TOLERANCE)


def test_a_step_of_adam():
    model = network("model/init/")
    for name, parameter in model.named_parameters():
        parameter.grad = FIXTURES.tensors("step/0/grad/")[name]
    torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0).step()
    after = FIXTURES.tensors("step/0/after/")
    for name, parameter in model.named_parameters():
        assert_close(parameter.detach(), after[name], **TOLERANCE)


def test_predictions():
    model = network("step/10/before/").eval()
    cube = torch.from_numpy(FIXTURES.arrays["rsshow/hsi_out"]).permute(2, 0, 1)
    with torch.no_grad():
        assert_close(model(cube[None]).logits, torch.from_numpy(FIXTURES.arrays["eval/logits"]), **TOLERANCE)
        part = model(cube[None, :, :24, :20]).logits
    assert_close(part, torch.from_numpy(FIXTURES.arrays["eval/logits_24x20"]), **TOLERANCE)
    probabilities = predict_window(model, cube.contiguous().numpy())
    np.testing.assert_array_equal(probabilities.argmax(axis=0) + 1, FIXTURES.arrays["refine/prediction"])
    np.testing.assert_allclose(confidence(probabilities), FIXTURES.arrays["refine/bvsb"], atol=1e-5)


def test_a_batch_is_not_one_sequence():
    """The official code lets an image of a batch see those before it; here only the first one can agree."""
    model = network("step/10/before/").eval()
    cube = torch.from_numpy(FIXTURES.arrays["rsshow/hsi_out"]).permute(2, 0, 1)
    batch = torch.stack([cube[:, :12, :8], cube[:, 20:32, 10:18]])
    with torch.no_grad():
        together, alone = model(batch).logits, model(batch[1:]).logits
    released = torch.from_numpy(FIXTURES.arrays["eval/logits_batch2"])
    assert_close(together[:1], released[:1], **TOLERANCE)
    assert_close(together[1:], alone, rtol=1e-4, atol=1e-5)
    assert (together[1] - released[1]).abs().max() > 0.01


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [0, 1])
def test_augmentation(angle, mirrored):
    """The official turn of a square is ours; of another patch a quarter turn loses the ends."""
    ours = CubeAugmentation(angle // 90, bool(mirrored), noise=0.0, seed=0)
    cube = torch.from_numpy(FIXTURES.arrays["augment/in"])
    assert torch.equal(ours.restore(ours(cube)), cube)
    released = torch.from_numpy(FIXTURES.arrays[f"augment/{angle}_{mirrored}/out"])
    if angle in (0, 180):
        assert_close(ours(cube), released, rtol=0, atol=1e-5)
    square = cube[:, :, :4]
    expected = turned_as_released(square, angle)
    assert_close(ours(square), expected.flip(3) if mirrored else expected, rtol=0, atol=1e-4)
    assert_close(turned_as_released(cube, angle).flip(3) if mirrored else turned_as_released(cube, angle), released)


@pytest.mark.parametrize("class_id", range(CLASSES))
def test_groups_of_confidence(class_id):
    fixture = FIXTURES.arrays
    components = fixture[f"refine/gmm1d_{class_id}/component"]
    means = fixture[f"refine/gmm1d_{class_id}/mean"]
    least, most = split_by_confidence(fixture[f"refine/gmm1d_{class_id}/bvsb"], np.random.default_rng(0))
    # Another release of scikit-learn may start elsewhere, and put pixels between two groups into the other one.
    assert (least == (components == means.argmin())).mean() > 0.99
    assert (most == (components == means.argmax())).mean() > 0.99


def test_principal_components():
    cube = FIXTURES.arrays["rsshow/hsi_out"]
    components = principal_components(cube.reshape(-1, BANDS)).transform(cube.reshape(-1, BANDS))
    # The direction of a component is up to the library.
    np.testing.assert_allclose(np.abs(components), np.abs(FIXTURES.arrays["refine/pca"]).reshape(-1, 5), atol=1e-3)


def test_soft_labels():
    fixture, mixtures = FIXTURES.arrays, []
    for class_id in range(CLASSES):
        mixture = GaussianMixture(5)
        for name in ("means_", "covariances_", "weights_"):
            setattr(mixture, name, fixture[f"refine/gmm5_{class_id}/{name}"])
        mixture.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(mixture.covariances_))
        mixtures.append(mixture)
    for name in ("hard", "confident"):
        marked = fixture[f"refine/{name}_weight"] > 0
        found = class_likelihoods(fixture["refine/pca"][marked], mixtures)
        np.testing.assert_allclose(found, fixture[f"refine/{name}_target"][marked], atol=1e-6)


def test_scores():
    truth, predicted = (FIXTURES.arrays[f"metric/1/{name}"].astype(int) - 1 for name in ("target", "prediction"))
    counts = np.bincount(predicted * CLASSES + truth, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    recalls = counts.diagonal() / counts.sum(axis=0)
    np.testing.assert_allclose(recalls, FIXTURES.arrays["metric/1/per_class"])
    assert counts.trace() / counts.sum() == pytest.approx(0.9876543209876543)
    assert recalls.mean() == pytest.approx(0.9878840902462951)
    assert cohens_kappa(counts) == pytest.approx(0.9814727938550732)
