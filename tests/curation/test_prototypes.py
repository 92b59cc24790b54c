"""K-Means on features of known groups, and the assignment against a loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from s5_hf.curation import ScoreSettings, score_images
from s5_hf.curation.prototypes import (
    ClusterSettings,
    Prototypes,
    assign,
    cluster_features,
    compare_cluster_counts,
    make_prototypes,
)
from s5_hf.curation.sources import ImageSource, open_images


def unit(rows):
    rows = np.asarray(rows, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def groups(sizes, seed=0):
    """Tight groups of directions around the axes."""
    generator = np.random.default_rng(seed)
    axes = np.repeat(np.eye(len(sizes), 6, dtype=np.float32), sizes, axis=0)
    return unit(axes + 0.02 * generator.standard_normal(axes.shape))


def test_finds_the_groups_and_their_counts():
    features = groups([5, 9, 2])
    centres, counts, inertia = cluster_features(features, 3, seed=1)
    assert sorted(counts.tolist()) == [2, 5, 9]
    assert np.allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-6)
    nearest = assign(features, centres)[0]
    assert [len(set(nearest[rows])) for rows in (slice(0, 5), slice(5, 14), slice(14, 16))] == [1, 1, 1]
    assert inertia < 0.1


def test_length_of_features_does_not_count():
    features = groups([5, 9, 2])
    longer = features * np.linspace(0.1, 40, len(features), dtype=np.float32)[:, None]
    assert np.allclose(cluster_features(features, 3)[0], cluster_features(longer, 3)[0], atol=1e-5)


def test_the_seed_decides():
    features = unit(np.random.default_rng(0).standard_normal((60, 5)))
    first, again = (cluster_features(features, 7, seed=3)[0] for _ in range(2))
    assert np.array_equal(first, again)


def test_mini_batches_above_a_size():
    features = groups([300, 500, 200])
    centres, counts, _ = cluster_features(features, 3, mini_batch_above=900)
    assert sorted(counts.tolist()) == [200, 300, 500]
    assert not np.array_equal(centres, cluster_features(features, 3)[0])


def test_the_true_number_has_the_best_silhouette():
    compared = compare_cluster_counts(groups([10, 12, 8, 11]), [2, 3, 4, 6])
    assert [count.num_clusters for count in compared] == [2, 3, 4, 6]
    inertias = [count.inertia for count in compared]
    assert inertias == sorted(inertias, reverse=True)
    assert max(compared, key=lambda count: count.silhouette).num_clusters == 4


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(0, 20), clusters=st.integers(1, 6))
def test_assignment_equals_the_loop(seed, rows, clusters):
    generator = np.random.default_rng(seed)
    features, centres = unit(generator.standard_normal((rows, 4))), unit(generator.standard_normal((clusters, 4)))
    nearest, similarity = assign(features, centres)
    for row in range(rows):
        cosines = [float(features[row].astype(float) @ centre.astype(float)) for centre in centres]
        assert cosines[nearest[row]] == pytest.approx(max(cosines), abs=1e-6)
        assert similarity[row] == pytest.approx(max(cosines), abs=1e-6)


def test_saved_and_loaded(tmp_path):
    features = groups([5, 9, 2])
    centres, counts, _ = cluster_features(features, 3)
    saved = Prototypes(centres, counts, "abc", compare_cluster_counts(features, [2, 3]))
    saved.save(tmp_path / "prototypes.safetensors")
    loaded = Prototypes.load(tmp_path / "prototypes.safetensors")
    assert np.array_equal(loaded.centres, centres)
    assert np.array_equal(loaded.counts, counts)
    assert (loaded.fingerprint, loaded.compared) == ("abc", saved.compared)
    saved.save(tmp_path / "again.safetensors")
    files = [tmp_path / f"{name}.safetensors" for name in ("prototypes", "again")]
    assert files[0].read_bytes() == files[1].read_bytes()
    save_file({"weight": centres}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"holds no prototypes, but the tensors \['weight'\]"):
        Prototypes.load(tmp_path / "model.safetensors")
    with pytest.raises(FileNotFoundError, match="no prototypes at"):
        Prototypes.load(tmp_path / "absent.safetensors")


def test_refuses():
    features = groups([3, 3])
    with pytest.raises(ValueError, match=r"1..6, the number of labelled images, got 7"):
        cluster_features(features, 7)
    with pytest.raises(ValueError, match=r"2..5 for 6 labelled images, got 6"):
        compare_cluster_counts(features, [6])
    with pytest.raises(ValueError, match="the features have 6 channels, the prototypes 5"):
        assign(features, np.eye(5, dtype=np.float32))
    with pytest.raises(ValueError, match="of 2 clusters, 1 have no labelled image"), pytest.warns(match="distinct"):
        cluster_features(np.ones((4, 3)), 2)


@pytest.fixture(scope="module")
def labelled(segmenter, labelled_tiles, tmp_path_factory):
    source = ImageSource(dataset="s5-image-mask", data_dir=str(labelled_tiles), options={"classes": ["a", "b", "c"]})
    return score_images(
        segmenter, open_images(source), tmp_path_factory.mktemp("labelled"), ScoreSettings(patch_size=64)
    )


def test_cluster_step(labelled, segmenter, tmp_path):
    prototypes = make_prototypes(labelled, tmp_path / "p.safetensors", ClusterSettings(num_clusters=3, compare=[2, 4]))
    assert prototypes.counts.sum() == 16
    assert prototypes.fingerprint == segmenter.fingerprint
    assert len(Prototypes.load(tmp_path / "p.safetensors").compared) == 2


def test_a_class_without_labelled_pixels_is_an_error(segmenter, labelled_tiles, tmp_path):
    source = ImageSource(
        dataset="s5-image-mask",
        data_dir=str(labelled_tiles),
        options={"classes": ["a", "b", "c"], "value_map": {"0": 0, "1": 1, "2": 0}},
    )
    scores = score_images(segmenter, open_images(source), tmp_path / "scores", ScoreSettings(patch_size=64))
    with pytest.raises(ValueError, match="shows the class water"):
        make_prototypes(scores, tmp_path / "p.safetensors", ClusterSettings(num_clusters=2))
    assert not (tmp_path / "p.safetensors").exists()
    make_prototypes(scores, tmp_path / "p.safetensors", ClusterSettings(num_clusters=2, missing_classes="ignore"))
