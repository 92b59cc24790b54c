"""The selection against a loop written here, and the step from files to files."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.curation import ScoreSettings, score_images
from s5_hf.curation.exclusion import hash_images, read_hashes, write_hashes
from s5_hf.curation.patches import cut_patches
from s5_hf.curation.prototypes import ClusterSettings, Prototypes, make_prototypes
from s5_hf.curation.selection import REASONS, Candidates, SelectionSettings, select_patches
from s5_hf.curation.selection_folder import SelectionFolder, make_selection, read_candidates
from s5_hf.curation.sources import ImageSource, open_images
from s5_hf.curation.walk import largest_remainder
from s5_hf.hub.normalization import InputSettings
from s5_hf.modeling.value_scaling import ValueScaling
from tests.band_files import block_bands, write_bands


def candidates(rows, order=None) -> Candidates:
    """From dictionaries with `id` and what differs from the defaults."""
    order = range(len(rows)) if order is None else order.tolist()

    def column(name, default, dtype):
        return np.array([rows[row].get(name, default) for row in order], dtype=dtype)

    hashes = np.array([rows[row].get("hash", row * 0x9E3779B97F4A7C15 % 2**64) for row in order], dtype=np.uint64)
    return Candidates(
        ids=pa.chunked_array([pa.array([rows[row]["id"] for row in order], pa.string())]),
        position=np.array(list(order), dtype=np.int64),
        entropy=column("entropy", 0.5, np.float32),
        cluster=column("cluster", 0, np.int16),
        similarity=column("similarity", 0.9, np.float32),
        hash=hashes,
        perceptual_hash=hashes,
        contrast=column("contrast", 30, np.float32),
        coherence=column("coherence", 0.9, np.float32),
        background_share=column("background_share", 0.1, np.float32),
    )


def select_by_hand(rows, target, weights, limits):
    """Everything in one loop: filters, duplicates, quotas."""
    quotas = largest_remainder(target, weights).tolist()
    usable, taken = [], []
    for row in rows:  # in the order of the list of candidates
        if row["contrast"] < limits["contrast"] or row["entropy"] > limits["entropy"] or row["id"] in limits["ids"]:
            continue
        if not any((row["hash"] ^ other["hash"]).bit_count() <= limits["distance"] for other in usable):
            usable.append(row)
    for row in sorted(usable, key=lambda row: (row["entropy"], row["id"])):
        if quotas[row["cluster"]] > 0:
            quotas[row["cluster"]] -= 1
            taken.append(row["id"])
    return taken, len(usable)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "entropy": st.sampled_from([0.0, 0.25, 0.5, 0.75]),
            "cluster": st.integers(0, 2),
            "contrast": st.sampled_from([1.0, 30.0]),
            "hash": st.builds(
                lambda base, bit: base ^ (1 << bit), st.sampled_from([0, 2**40 - 1]), st.integers(0, 30)
            ),
        }
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(rows=ROWS, target=st.integers(1, 12), distance=st.integers(0, 2), seed=st.integers(0, 99))
def test_equals_the_loop_whatever_the_order(rows, target, distance, seed):
    rows = [{**row, "id": f"{index:02d}"} for index, row in enumerate(rows)]
    weights = np.array([3, 2, 2])
    banned = ["01", "05"]
    options = SelectionSettings(target=target, maximum_entropy=0.6, duplicate_distance=distance)
    limits = {"contrast": 2.0, "entropy": 0.6, "ids": banned, "distance": distance}
    expected, usable = select_by_hand(rows, target, weights, limits)
    order = np.random.default_rng(seed).permutation(len(rows))
    table = candidates(rows, order)
    if usable < target:
        with pytest.raises(ValueError, match=f"only {usable} of {len(rows)} candidates are left"):
            select_patches(table, options, weights, pa.array(banned))
        return
    found = select_patches(table, options, weights, pa.array(banned))
    assert [table.ids[int(row)].as_py() for row in found.rows] == expected
    assert found.quotas.sum() == target
    assert (found.filled <= found.quotas).all()
    assert sum(found.counts.values()) == len(rows)
    assert found.counts["chosen"] == len(expected)


def many(count=60):
    generator = np.random.default_rng(0)
    return [{"id": f"{n:03d}", "entropy": float(generator.random()), "cluster": int(n % 3 == 0)} for n in range(count)]


def chosen_ids(table, found):
    return [table.ids[int(row)].as_py() for row in found.rows]


def test_strategies():
    rows, weights = many(), np.array([1, 1])
    table = candidates(rows)
    by_entropy = sorted(rows, key=lambda row: row["entropy"])
    found = {
        name: select_patches(table, SelectionSettings(target=10, strategy=name), weights)
        for name in ("random", "entropy", "diversity", "entropy+diversity")
    }
    assert chosen_ids(table, found["entropy"]) == [row["id"] for row in by_entropy[:10]]
    assert found["diversity"].filled.tolist() == found["entropy+diversity"].filled.tolist() == [5, 5]
    expected = [row["id"] for c in (0, 1) for row in [r for r in by_entropy if r["cluster"] == c][:5]]
    assert sorted(chosen_ids(table, found["entropy+diversity"])) == sorted(expected)
    assert len({tuple(chosen_ids(table, one)) for one in found.values()}) == 4
    again = select_patches(table, SelectionSettings(target=10, strategy="random", seed=1), weights)
    assert chosen_ids(table, again) != chosen_ids(table, found["random"])


def test_unfilled_quotas_are_left_or_handed_on():
    rows = [{**row, "cluster": 0 if index < 3 else 1} for index, row in enumerate(many(20))]
    table, weights = candidates(rows), np.array([1, 1])
    left = select_patches(table, SelectionSettings(target=10), weights)
    assert (left.quotas.tolist(), left.filled.tolist()) == ([5, 5], [3, 5])
    handed = select_patches(table, SelectionSettings(target=10, unfilled="hand_on"), weights)
    assert (handed.quotas.tolist(), handed.filled.tolist()) == ([5, 5], [3, 7])


@pytest.mark.parametrize(
    ("column", "value", "setting", "reason"),
    [
        ("entropy", np.nan, {}, "no scores"),
        ("contrast", 1.0, {}, "low contrast"),
        ("coherence", 0.0, {}, "incoherent"),
        ("background_share", 0.99, {"maximum_background": 0.9}, "mostly background"),
        ("entropy", 3.0, {"maximum_entropy": 2.0}, "entropy too high"),
        ("similarity", 0.1, {"minimum_similarity": 0.5}, "unlike all prototypes"),
    ],
)
def test_each_limit_has_its_reason(column, value, setting, reason):
    rows = [{"id": "a"}, {"id": "b", column: value}, {"id": "c"}]
    found = select_patches(candidates(rows), SelectionSettings(target=2, **setting), np.array([1]))
    assert REASONS[found.reasons[1]] == reason
    assert sorted(found.rows.tolist()) == [0, 2]


def test_excluded_hashes():
    rows = [{"id": "a", "hash": 0b111}, {"id": "b", "hash": 7 << 60}]
    found = select_patches(
        candidates(rows), SelectionSettings(target=1), np.array([1]), excluded_hashes=np.array([0b1], dtype=np.uint64)
    )
    assert (found.rows.tolist(), REASONS[found.reasons[0]]) == ([1], "excluded")


def test_refuses():
    with pytest.raises(ValueError, match="1 of 2 ids appear more than once, such as 'a'"):
        select_patches(candidates([{"id": "a"}, {"id": "a"}]), SelectionSettings(target=1), np.array([1]))
    with pytest.raises(ValueError, match="there are no candidates"):
        select_patches(candidates([]), SelectionSettings(target=1), np.array([1]))
    with pytest.raises(ValueError, match=r"3 patches are wanted, but only 1 of 2 .*low contrast: 1"):
        select_patches(
            candidates([{"id": "a"}, {"id": "b", "contrast": 0}]), SelectionSettings(target=3), np.array([1])
        )
    with pytest.raises(ValueError, match="needs prototypes"):
        select_patches(candidates([{"id": "a"}]), SelectionSettings(target=1))
    for name in ("strategy", "background", "unfilled", "duplicates"):
        with pytest.raises(ValueError, match=f"{name} must be one of .*, got 'other'"):
            SelectionSettings(**{name: "other"})


@pytest.fixture(scope="module")
def scores(segmenter, archive, tmp_path_factory):
    settings = ScoreSettings(patch_size=64, part_size=5, background="soil", batch_size=4)
    return score_images(
        segmenter, open_images(ImageSource(folder=str(archive))), tmp_path_factory.mktemp("s"), settings
    )


@pytest.fixture(scope="module")
def prototypes(scores, tmp_path_factory) -> Prototypes:
    return make_prototypes(scores, tmp_path_factory.mktemp("p") / "p.safetensors", ClusterSettings(num_clusters=3))


LOOSE = {"minimum_contrast": None, "minimum_coherence": None, "duplicates": "keep"}


def test_select_step(scores, prototypes, tmp_path):
    selection = make_selection(scores, tmp_path, SelectionSettings(target=8, **LOOSE), prototypes)
    chosen = selection.chosen()
    table, _ = read_candidates(scores, SelectionSettings(**LOOSE), prototypes)
    expected = select_patches(table, SelectionSettings(target=8, **LOOSE), prototypes.counts)
    assert chosen["id"].to_pylist() == chosen_ids(table, expected)
    assert chosen["entropy"].to_pylist() == sorted(chosen["entropy"].to_pylist())
    assert selection.summary["quotas"] == largest_remainder(8, prototypes.counts).tolist()
    histogram = selection.summary["entropy_histogram"]
    assert (sum(histogram["candidates"]), sum(histogram["chosen"])) == (21, len(chosen))
    pixels = selection.summary["class_pixels"]
    assert sum(pixels["chosen"]) == sum(row["width"] * row["height"] for row in chosen.to_pylist())
    assert set(selection.left_out()["reason"].to_pylist()) == {"not reached"}
    assert SelectionFolder.open(tmp_path).summary == selection.summary


def test_kinds_of_entropy(scores, prototypes):
    columns = {"excluded": "entropy", "renormalised": "entropy_renormalised", "included": "entropy_with_background"}
    for kind, column in columns.items():
        table, _ = read_candidates(scores, SelectionSettings(background=kind), None)
        assert np.array_equal(table.entropy, scores.take(np.arange(21), [column])[column].to_numpy())


def test_similar_features_are_duplicates(segmenter, archive, tmp_path):
    sources = [ImageSource(folder=str(archive), name=name) for name in ("a", "b")]
    scores = score_images(segmenter, open_images(sources), tmp_path / "scores", ScoreSettings(patch_size=64))
    options = SelectionSettings(target=1, strategy="entropy", duplicates="features", duplicate_distance=0)
    selection = make_selection(scores, tmp_path / "selection", options)
    assert selection.summary["counts"]["near-duplicate"] >= 21
    assert selection.chosen()["id"][0].as_py().startswith("a/")
    assert selection.chosen()["cluster"].to_pylist() == [None]


def test_of_near_duplicates_that_of_the_source_named_first_stays():
    rows = [{"id": "trusted/scene", "entropy": 0.4, "hash": 12}, {"id": "copies/scene", "entropy": 0.1, "hash": 13}]
    table = candidates(rows)
    found = select_patches(table, SelectionSettings(target=1, strategy="entropy"))
    assert chosen_ids(table, found) == ["trusted/scene"]
    assert found.counts["near-duplicate"] == 1
    table = candidates(rows, np.array([1, 0]))
    assert chosen_ids(table, select_patches(table, SelectionSettings(target=1, strategy="entropy"))) == [
        "trusted/scene"
    ]


def test_evaluation_images_are_kept_out(scores, prototypes, archive, images, tmp_path):
    hashes = hash_images(open_images(ImageSource(folder=str(archive / "north"))), 64)
    write_hashes(hashes, tmp_path / "hashes.txt")
    assert np.array_equal(read_hashes(tmp_path / "hashes.txt"), hashes)
    options = SelectionSettings(target=5, strategy="entropy", **LOOSE)
    selection = make_selection(scores, tmp_path / "selection", options, excluded_hashes=hashes)
    north = sum(1 for row in range(21) if scores.take(np.array([row]), ["source"])["source"][0].as_py() == "north")
    assert selection.summary["counts"]["excluded"] >= north
    assert set(selection.chosen()["source"].to_pylist()) == {"south"}
    (tmp_path / "hashes.txt").write_text("00ff\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"hashes.txt, line 1: expected 16 hexadecimal digits, got '00ff'"):
        read_hashes(tmp_path / "hashes.txt")


def test_prototypes_of_another_model(scores, prototypes, tmp_path):
    other = Prototypes(prototypes.centres, prototypes.counts, "0" * 32)
    with pytest.raises(ValueError, match="the prototypes come from the model 0000"):
        make_selection(scores, tmp_path, SelectionSettings(target=2), other)
    narrow = Prototypes(prototypes.centres[:, :5], prototypes.counts, prototypes.fingerprint)
    with pytest.raises(ValueError, match=r"the prototypes have 5 channels, the scores in .* 32"):
        make_selection(scores, tmp_path, SelectionSettings(target=2), narrow)
    with pytest.raises(ValueError, match="run s5-hf curate cluster first"):
        make_selection(scores, tmp_path, SelectionSettings(target=2))
    assert not list(tmp_path.iterdir())


def test_hashes_of_deep_images_are_of_what_the_network_sees(tmp_path):
    pytest.importorskip("rasterio")
    values, _ = block_bands(0)
    write_bands(tmp_path / "deep" / "a.tif", values)
    images = open_images(ImageSource(folder=str(tmp_path / "deep")))
    scaling = ValueScaling((0.0,) * 4, (3000.0,) * 4)
    network = InputSettings((0.5,) * 4, (0.25,) * 4, scaling)
    (found,) = hash_images(images, network=network)
    (patch,) = cut_patches(next(images.read(0, 1)), 0, None, None, network=network)
    assert found == patch.content.hash
    with pytest.raises(ValueError, match="a"):
        hash_images(images)
