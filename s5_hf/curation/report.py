"""The report on a selection: one HTML page that holds its pictures and charts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, ImageOps

from ..files.atomic import write_text
from ..imaging.natural_colors import natural_palette
from ..pages import bar_pairs, class_legend, figure, histogram_pair, inline_image, overlay, page, picture_grid, table
from .curated_dataset import check_same_images
from .patches import PatchReader
from .score_table import ScoreFolder
from .selection import REASONS
from .selection_folder import SelectionFolder
from .sources import ImageList

__all__ = ["write_curation_report"]

_THUMBNAIL = 160
_SHEET, _CLUSTER_SHEET = 18, 12
_MOST_CLUSTERS = 64


def write_curation_report(
    selection: SelectionFolder,
    scores: ScoreFolder,
    images: ImageList,
    path: str | Path,
    title: str = "Curation report",
) -> Path:
    """Write the report: what became of all candidates, entropy, quotas, class shares, and pictures of each kind.

    Args:
        selection: what was selected.
        scores: it was selected from; the pictures show pseudo-masks if they hold them.
        images: the sources, for the pictures.
        path: of the HTML file.
        title: heading.

    Returns:
        The path.

    Raises:
        ValueError: if scores and images do not belong together.
    """
    check_same_images(scores, images)
    pictures = _Pictures(scores, images)
    summary = selection.summary
    sections = [
        _overview(summary),
        _entropy_section(summary),
        _cluster_section(summary),
        _class_section(summary),
        _source_section(selection.chosen()),
        _chosen_pictures(selection.chosen(), pictures, scores.labels),
        _left_out_pictures(selection.left_out(), pictures),
    ]
    write_text(path, page(title, "".join(sections)))
    return Path(path)


def _overview(summary: dict) -> str:
    settings, scores, counts = summary["settings"], summary["scores"], summary["counts"]
    total = summary["num_candidates"]
    rows = [(reason, f"{count:,}", f"{count / total:.1%}") for reason, count in counts.items() if count]
    changed = {name: value for name, value in settings.items() if value is not None}
    facts = ", ".join(f"{name} {value}" for name, value in changed.items())
    size = scores["patch_size"]
    patches = "whole images" if size is None else f"patches of {size} px, stride {scores['stride']} px"
    return (
        f"<p><b>{counts['chosen']:,}</b> of {total:,} candidates were chosen ({patches}, "
        f"{scores['num_images']:,} images).</p>"
        f'<p class="note">Settings: {escape(facts)}. Segmenter: {escape(scores["fingerprint"])}, '
        f"{escape(scores['precision'])}.</p>{table(('candidates', 'patches', 'share'), rows)}"
    )


def _entropy_section(summary: dict) -> str:
    histogram = summary["entropy_histogram"]
    chart = histogram_pair(
        histogram["edges"],
        histogram["candidates"],
        histogram["chosen"],
        ("all candidates", "chosen"),
        "mean pixel entropy, nats",
    )
    return (
        "<h2>Entropy</h2>"
        f"{chart}<p class='note'>Each group is scaled to its own total. Low entropy means reliable pseudo-labels.</p>"
    )


def _cluster_section(summary: dict) -> str:
    quotas, filled = summary["quotas"], summary["filled"]
    if len(quotas) == 1:
        return ""
    labels = [f"cluster {index} ({count:,} labelled)" for index, count in enumerate(summary["labelled_counts"])]
    section = "<h2>Quotas</h2>" + bar_pairs(labels, quotas, filled, ("quota", "filled"))
    if summary["limits"] != quotas:
        section += "<p class='note'>What clusters could not fill was handed on to the others.</p>"
    compared = summary["compared_cluster_counts"]
    if compared:
        rows = [(str(c["num_clusters"]), f"{c['inertia']:,.2f}", f"{c['silhouette']:.3f}") for c in compared]
        section += "<h3>Other numbers of clusters</h3>" + table(("clusters", "inertia", "silhouette"), rows)
    return section


def _class_section(summary: dict) -> str:
    shares = []
    for group in ("candidates", "chosen"):
        pixels = np.asarray(summary["class_pixels"][group], dtype=np.float64)
        shares.append((pixels / max(1.0, pixels.sum()) * 100).tolist())
    chart = bar_pairs(summary["scores"]["labels"], *shares, ("all candidates", "chosen"), "{:.1f} %")
    return f"<h2>Predicted classes</h2>{chart}"


def _source_section(chosen: pa.Table) -> str:
    counts = chosen["source"].value_counts().to_pylist()
    rows = sorted(((entry["values"] or "", entry["counts"]) for entry in counts), key=lambda row: (-row[1], row[0]))
    cells = [(name, f"{count:,}", f"{count / len(chosen):.1%}") for name, count in rows]
    return "<h2>Where the chosen come from</h2>" + table(("source", "chosen", "share"), cells)


def _chosen_pictures(chosen: pa.Table, pictures: _Pictures, labels: Sequence[str]) -> str:
    ordered = chosen.sort_by([("entropy", "ascending"), ("id", "ascending")])
    section = (
        "<h2>Lowest entropy of the chosen</h2>"
        + class_legend(labels, natural_palette(labels))
        + pictures.sheet(ordered.slice(0, _SHEET))
    )
    highest = ordered.slice(max(0, len(ordered) - _SHEET))
    section += "<h2>Highest entropy of the chosen</h2>" + pictures.sheet(highest)
    clusters = sorted(set(chosen["cluster"].drop_null().to_pylist()))
    if not clusters:
        return section
    section += "<h2>Clusters</h2>"
    for cluster in clusters[:_MOST_CLUSTERS]:
        members = ordered.filter(pc.equal(ordered["cluster"], cluster))
        spread = np.unique(np.linspace(0, len(members) - 1, _CLUSTER_SHEET).round().astype(np.int64))
        section += f"<h3>Cluster {cluster}, {len(members):,} chosen</h3>"
        section += pictures.sheet(members.take(pa.array(spread)), masks=False)
    return section


def _left_out_pictures(left_out: pa.Table, pictures: _Pictures) -> str:
    section = "<h2>Left out</h2>"
    notes = {"not reached": "those of highest entropy", "near-duplicate": "copies of a patch that came before them"}
    for reason in REASONS:
        members = left_out.filter(pc.equal(left_out["reason"], reason)).slice(0, _CLUSTER_SHEET)
        if len(members):
            note = f", {notes[reason]}" if reason in notes else ""
            section += f"<h3>{reason.capitalize()}{note}</h3>" + pictures.sheet(members, masks=False)
    return section


class _Pictures:
    """Thumbnails of patches, with their pseudo-masks where the scores hold them."""

    def __init__(self, scores: ScoreFolder, images: ImageList) -> None:
        self._scores, self._reader = scores, PatchReader(images)
        self._palette = natural_palette(scores.labels)
        self._has_masks = scores.metadata["pseudo_masks"]

    def sheet(self, rows: pa.Table, masks: bool = True) -> str:
        """The patches of a table side by side, in its order."""
        entries = rows.to_pylist()
        overlays: list[bytes | None] = [None] * len(entries)
        if masks and self._has_masks:
            overlays = self._scores.take(rows["row"].to_numpy(), ["pseudo_mask"])["pseudo_mask"].to_pylist()
        in_order = sorted(range(len(entries)), key=lambda index: entries[index]["image"])
        figures = {index: self._figure(entries[index], overlays[index]) for index in in_order}
        return picture_grid([figures[index] for index in range(len(entries))], width=_THUMBNAIL)

    def _figure(self, row: dict, mask: bytes | None) -> str:
        entropy = row["entropy"]
        caption = (row["id"], row.get("problem") or ("" if entropy is None else f"{entropy:.4f} nats"))
        if not row["width"]:  # it could not be read
            return figure([], caption)
        patch = self._reader.patch(row)
        shown = [patch] if mask is None else [patch, overlay(patch, _class_ids(mask), self._palette)]
        return figure([inline_image(ImageOps.contain(image, (_THUMBNAIL, _THUMBNAIL))) for image in shown], caption)


def _class_ids(mask: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(mask)))
