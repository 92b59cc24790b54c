"""Estimates from a stratified sample, against the example of Olofsson et al. (2014) and a computation of its own."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.evaluation.accuracy.estimates import cohens_kappa, estimate_from_sample

# Table 8: deforestation, forest gain, stable forest, stable non-forest; map in rows, reference in columns.
EXAMPLE = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
HECTARES = PIXELS.sum() * 30 * 30 / 1e4


def test_the_example_of_the_paper_to_the_digits_that_it_prints():
    found = estimate_from_sample(EXAMPLE, PIXELS)
    assert round(found.overall, 2) == 0.95 and round(1.96 * found.overall_error, 2) == 0.02
    np.testing.assert_array_equal(found.users.round(2), [0.88, 0.73, 0.93, 0.96])
    np.testing.assert_array_equal((1.96 * found.users_error).round(2), [0.07, 0.10, 0.04, 0.02])
    np.testing.assert_array_equal(found.producers.round(2), [0.75, 0.85, 0.93, 0.96])
    # The paper prints 0.23 and 0.01 for the second and the last; its own equation 7 gives these.
    np.testing.assert_array_equal((1.96 * found.producers_error).round(2), [0.21, 0.25, 0.03, 0.02])
    np.testing.assert_array_equal((found.areas * HECTARES).round(), [21158, 11686, 285770, 581386])
    np.testing.assert_allclose(1.96 * found.areas_error * HECTARES, [6158, 3756, 15510, 16282], atol=1)


def by_the_book(counts, pixels):
    """The same, cell by cell, with the numbers of pixels of the paper in place of shares."""
    size, total = len(counts), sum(pixels)
    n = [sum(row) for row in counts]
    users = [counts[i][i] / n[i] for i in range(size)]
    overall = sum(pixels[i] / total * users[i] for i in range(size))
    overall_variance = sum((pixels[i] / total) ** 2 * users[i] * (1 - users[i]) / (n[i] - 1) for i in range(size))
    real = [sum(pixels[i] * counts[i][j] / n[i] for i in range(size)) for j in range(size)]
    producers, producers_variance, area_variance = [], [], []
    for j in range(size):
        p = pixels[j] * users[j] / real[j]
        own = pixels[j] ** 2 * (1 - p) ** 2 * users[j] * (1 - users[j]) / (n[j] - 1)
        rates = [counts[i][j] / n[i] for i in range(size)]
        others = sum(pixels[i] ** 2 * rates[i] * (1 - rates[i]) / (n[i] - 1) for i in range(size) if i != j)
        producers.append(p)
        producers_variance.append((own + p**2 * others) / real[j] ** 2)
        area_variance.append(
            sum((pixels[i] / total) ** 2 * rates[i] * (1 - rates[i]) / (n[i] - 1) for i in range(size))
        )
    return overall, overall_variance, users, producers, producers_variance, [r / total for r in real], area_variance


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 5).flatmap(
        lambda size: st.tuples(
            st.lists(st.lists(st.integers(0, 40), min_size=size, max_size=size), min_size=size, max_size=size),
            st.lists(st.integers(1, 10**6), min_size=size, max_size=size),
        )
    )
)
def test_any_sample_as_computed_cell_by_cell(sample):
    counts, pixels = np.array(sample[0]), sample[1]
    counts += np.eye(len(counts), dtype=int) * 2  # at least two points in each stratum, and every class is there
    overall, variance, users, producers, producers_variance, areas, area_variance = by_the_book(
        counts.tolist(), pixels
    )
    found = estimate_from_sample(counts, np.array(pixels))
    np.testing.assert_allclose([found.overall, found.overall_error**2], [overall, variance], atol=1e-12)
    np.testing.assert_allclose(found.users, users)
    np.testing.assert_allclose(found.producers, producers)
    np.testing.assert_allclose(found.producers_error**2, producers_variance, rtol=1e-8, atol=1e-15)
    np.testing.assert_allclose(found.areas, areas)
    np.testing.assert_allclose(found.areas_error**2, area_variance, rtol=1e-8, atol=1e-15)
    assert found.areas.sum() == pytest.approx(1) and found.proportions.sum() == pytest.approx(1)


def test_intervals_hold_the_truth_about_95_times_of_100():
    """A made-up map of known accuracy is sampled again and again."""
    random = np.random.default_rng(0)
    truth = np.array([[0.9, 0.06, 0.04], [0.1, 0.8, 0.1], [0.02, 0.03, 0.95]])
    pixels = np.array([100_000, 40_000, 860_000])
    real = pixels @ truth / pixels.sum()
    producers = pixels * truth.diagonal() / (pixels @ truth)
    held_areas = held_producers = 0
    for _ in range(400):
        counts = np.stack([random.multinomial(number, row) for number, row in zip((80, 60, 260), truth, strict=True)])
        found = estimate_from_sample(counts, pixels)
        held_areas += np.abs(found.areas - real) < 1.96 * found.areas_error
        held_producers += np.abs(found.producers - producers) < 1.96 * found.producers_error
    assert ((held_areas / 400 > 0.9) & (held_areas / 400 < 0.99)).all()
    assert ((held_producers / 400 > 0.88) & (held_producers / 400 <= 0.99)).all()


def test_a_stratum_without_points_is_left_out_and_one_point_has_no_variance():
    found = estimate_from_sample(np.array([[9, 1, 0], [0, 0, 0], [1, 0, 9]]), np.array([50, 900, 50]))
    assert found.areas.sum() == pytest.approx(1) and found.overall == pytest.approx(0.9)
    assert math.isnan(found.users[1]) and found.producers[1] == 0
    single = estimate_from_sample(np.array([[10, 2], [0, 1]]), np.array([50, 50]))
    assert single.overall == pytest.approx((10 / 12 + 1) / 2)
    assert math.isnan(single.overall_error) and math.isnan(single.areas_error[0])
    with pytest.raises(ValueError, match="points in classes it does not have"):
        estimate_from_sample(np.array([[1, 0], [0, 1]]), np.array([5, 0]))


def test_kappa():
    assert cohens_kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)  # Cohen's own example
    assert cohens_kappa(np.array([[5, 0], [0, 5]])) == 1.0 and math.isnan(cohens_kappa(np.array([[5, 0], [0, 0]])))
