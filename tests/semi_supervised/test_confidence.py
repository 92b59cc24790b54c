"""Which pseudo-labels count: adaptive thresholds and weights by rank."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from s5_hf.semi_supervised import FixMatch
from s5_hf.semi_supervised.confidence import AdaptiveThresholds, FixedThreshold, RankWeights
from s5_hf.semi_supervised.pseudo_labels import CutMixed, PseudoLabels, reaches
from s5_hf.semi_supervised.rank_weights import rank_weights
from tests.semi_supervised.test_methods import labelled_batch, unlabelled_batch

NOTHING_IGNORED = torch.zeros(1, 1, 4, dtype=torch.bool)


def labels_of(labels, confidence, classes=3):
    return PseudoLabels(torch.tensor([[labels]]), torch.tensor([[confidence]]), classes)


class TestAdaptive:
    def test_a_class_that_is_learnt_more_slowly_has_a_lower_threshold(self):
        adaptive = AdaptiveThresholds(highest=0.9, lowest=0.2)
        assert adaptive.threshold == 0.9, "nothing was seen"
        adaptive.see(labels_of([0, 0, 1, 1], [0.95, 0.95, 0.95, 0.5]), NOTHING_IGNORED, 0)
        # Class 0 is learnt, class 1 by half: 0.9 * 0.5 / 1.5; class 2 was never predicted.
        torch.testing.assert_close(adaptive.threshold, torch.tensor([0.9, 0.3, 0.2]))

    def test_the_floor_holds_and_padding_does_not_count(self):
        adaptive = AdaptiveThresholds(0.9, 0.5)
        adaptive.see(
            labels_of([0, 0, 1, 1], [0.95, 0.95, 0.95, 0.5]), torch.tensor([[[False, False, True, False]]]), 0
        )
        torch.testing.assert_close(adaptive.threshold, torch.tensor([0.9, 0.5, 0.5]))

    def test_while_nothing_is_sure_the_highest_threshold_holds(self):
        adaptive = AdaptiveThresholds(0.9, 0.2)
        adaptive.see(labels_of([0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5]), NOTHING_IGNORED, 0)
        torch.testing.assert_close(adaptive.threshold, torch.full((3,), 0.9))

    def test_old_batches_fade(self):
        adaptive = AdaptiveThresholds(0.9, 0.0)
        adaptive.see(labels_of([0, 0, 1, 1], [0.95] * 4), NOTHING_IGNORED, 0)
        before = adaptive.threshold[1]
        adaptive.see(labels_of([0, 0, 1, 1], [0.95, 0.95, 0.5, 0.5]), NOTHING_IGNORED, 1)
        share = 0.99 / 1.99  # of what is remembered of class 1
        assert before == pytest.approx(0.9)
        assert adaptive.threshold[1].item() == pytest.approx(0.9 * share / (2 - share))

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 2), st.floats(0.0, 1.0, width=32)), min_size=4, max_size=4))
    def test_thresholds_stay_in_their_range(self, pixels):
        adaptive = AdaptiveThresholds(0.9, 0.4)
        labels, confidence = zip(*pixels, strict=True)
        adaptive.see(labels_of(list(labels), list(confidence)), NOTHING_IGNORED, 0)
        threshold = adaptive.threshold
        assert ((threshold >= 0.4) & (threshold <= 0.9 + 1e-6)).all() and threshold.max() == pytest.approx(0.9)

    def test_state(self):
        first, second = AdaptiveThresholds(0.9, 0.2), AdaptiveThresholds(0.9, 0.2)
        first.see(labels_of([0, 0, 1, 1], [0.95, 0.95, 0.95, 0.5]), NOTHING_IGNORED, 0)
        second.load_state_dict(first.state_dict())
        assert torch.equal(first.threshold, second.threshold)


def test_a_threshold_per_class_is_that_of_each_pixel():
    labels, confidence = torch.tensor([[0, 1, 2, 1]]), torch.tensor([[0.6, 0.6, 0.6, 0.4]])
    assert reaches(labels, confidence, torch.tensor([0.7, 0.5, 0.6])).tolist() == [[False, True, True, False]]
    assert reaches(labels, confidence, 0.5).tolist() == [[True, True, True, False]]


class TestRank:
    def mixed(self):
        generator = torch.Generator().manual_seed(0)
        labels = torch.randint(0, 3, (2, 8, 8), generator=generator)
        confidence = torch.rand(2, 8, 8, generator=generator)
        valid = torch.ones(2, 8, 8, dtype=torch.bool)
        valid[0, :2] = False
        return CutMixed(torch.zeros(2, 3, 8, 8), labels, confidence, valid, valid)

    def test_weights_and_loss(self):
        mixed, rank = self.mixed(), RankWeights(total_steps=10)
        assert rank.threshold is None
        rank.see(PseudoLabels(mixed.labels, mixed.confidence, 3), ~mixed.valid, 5)
        weights = rank.weights(mixed)
        expected = rank_weights(mixed.confidence, mixed.labels, rank.memory.bins(), 0.5) * mixed.valid
        torch.testing.assert_close(weights, expected)
        assert 0 < weights.mean() < 1 and weights[~mixed.valid].max() == 0
        logits = torch.randn(2, 3, 8, 8)
        errors = functional.cross_entropy(logits, mixed.labels, reduction="none")
        torch.testing.assert_close(rank.loss(logits, mixed, weights), (errors * weights).sum() / mixed.valid.sum())

    def test_weights_do_not_depend_on_the_level_of_confidence(self):
        """Only the order within a class counts: this is what a threshold cannot give."""
        found = []
        for scale in (1.0, 0.3):
            mixed, rank = self.mixed(), RankWeights(10)
            mixed = CutMixed(mixed.pixel_values, mixed.labels, mixed.confidence * scale, mixed.confident, mixed.valid)
            for step in range(60):  # until the first entry of the memory has left
                rank.see(PseudoLabels(mixed.labels, mixed.confidence, 3), ~mixed.valid, step)
            rank.progress = 0.5
            found.append(rank.weights(mixed))
        torch.testing.assert_close(found[0], found[1])

    def test_state(self):
        mixed, first, second = self.mixed(), RankWeights(10), RankWeights(10)
        second.load_state_dict(first.state_dict())
        assert second.memory is None
        first.see(PseudoLabels(mixed.labels, mixed.confidence, 3), ~mixed.valid, 5)
        second.load_state_dict(first.state_dict())
        assert torch.equal(first.memory.bins(), second.memory.bins())


@pytest.mark.parametrize(("threshold", "admitted"), [("fixed", 0.0), ("adaptive", 0.0), ("rank", 0.1)])
def test_fixmatch_with_each_rule(dense_model, threshold, admitted):
    """A threshold that nothing reaches admits nothing; ranks always do."""
    method = FixMatch(1.0, threshold=threshold, total_steps=10, unlabelled_from_step=1)
    output = method(dense_model, labelled_batch(), unlabelled_batch(), 0)
    assert output.scalars["mask_ratio"] == 0, "before the first step that counts"
    output = method(dense_model, labelled_batch(), unlabelled_batch(), 5)
    assert output.scalars["mask_ratio"] >= admitted
    assert (output.scalars["mask_ratio"] > 0) == (output.class_counts.sum() > 0) == (threshold == "rank")
    assert 0 <= output.scalars["agreement"] <= 1
    assert 1 / 3 <= output.scalars["mean_confidence"] <= output.scalars["highest_confidence"] <= 1


def test_bad_options():
    with pytest.raises(ValueError, match="threshold must be fixed or adaptive or rank, got 'all'"):
        FixMatch(threshold="all")
    with pytest.raises(ValueError, match="threshold: rank needs total_steps of at least 1, got 0"):
        FixMatch(threshold="rank")
    with pytest.raises(ValueError, match="threshold_floor must lie between 0 and 1, got 2"):
        FixMatch(threshold_floor=2)
    assert isinstance(FixMatch().confidence, FixedThreshold)
