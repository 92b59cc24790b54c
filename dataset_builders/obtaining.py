"""How each dataset is obtained: where, how large it is, which command prepares it. What is not known is not said."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OBTAINING", "Obtaining"]

BYTES_PER_PIXEL = 3


@dataclass(frozen=True)
class Obtaining:
    """What one must do to have a dataset.

    Attributes:
        where: it is downloaded from, besides the homepage.
        parts: what is counted, with numbers of images and pixels of each, where both are known.
        prepare: the command that makes the files that the builder reads; empty where it reads them as published.
        note: what else one must know.
    """

    where: str
    parts: tuple[tuple[str, int, int], ...] = ()
    prepare: str = ""
    note: str = ""

    @property
    def size_in_words(self) -> str:
        """Bytes of all pixels without compression, an upper limit of the size on disk; or that it is not known."""
        if not self.parts:
            return "not known to us"
        counted = "; ".join(f"{count:,} {what}" for what, count, _ in self.parts)
        pixels = sum(count * size for _, count, size in self.parts)
        return f"at most {BYTES_PER_PIXEL * pixels / 1e9:,.1f} GB: the pixels without compression ({counted})"


# Entries look alike because they are data.
OBTAINING = {
    "rs4p-1m": Obtaining(
        "the Hub: hf://datasets/lianglyu/R4P-1M, the name that the authors announce",
        (("patches of 512 px", 1_000_000, 512**2),),
    ),
    "s5-isaid": Obtaining(
        "labels from the homepage, images from DOTA-v1.0",
        (("train crops of 512 px", 38_936, 512**2), ("val crops of 512 px", 21_188, 512**2)),
        "s5-hf prepare s5-isaid downloads/iSAID data/iSAID",
        "The images are those of DOTA-v1.0, so models pre-trained on iSAID have seen them.",
    ),
    "s5-vaihingen": Obtaining(
        "the homepage, on request", prepare="s5-hf prepare s5-vaihingen downloads/Vaihingen data/vaihingen"
    ),
    "s5-potsdam": Obtaining(
        "the homepage, on request",
        (("raw tiles of 6000 px", 38, 6000**2),),
        "s5-hf prepare s5-potsdam downloads/Potsdam data/potsdam",
    ),
    "s5-loveda": Obtaining(
        "the homepage, which links the files",
        (("train images of 1024 px", 2522, 1024**2), ("val", 1669, 1024**2), ("test", 1796, 1024**2)),
        note="Read as published: Train, Val and Test unpacked side by side.",
    ),
    "s5-deepglobe-landcover": Obtaining(
        "the challenge's page, after registration",
        (("train images of 2448 px, the only ones with masks", 803, 2448**2),),
        note="Read as published, all folders side by side. `s5-hf label-shares` cuts and divides it.",
    ),
    "s5-openearthmap": Obtaining(
        "the homepage, which links the files",
        note="Read as published: 2,303 train and 384 val tiles, by the dataset's own train.txt and val.txt.",
    ),
    "s5-dior-r": Obtaining("the homepage, which links the files", note="Read as published."),
    "s5-dota": Obtaining(
        "the homepage, which links the files", prepare="s5-hf prepare s5-dota downloads/DOTA data/dota --config v2.0"
    ),
    "s5-million-aid": Obtaining(
        "the homepage, which links the files",
        prepare="s5-hf prepare s5-million-aid downloads/MillionAID data/million-aid",
        note="Cutting into patches is needed for a curation only.",
    ),
    "s5-samrs": Obtaining(
        "the homepage, which links the files", prepare="s5-hf prepare s5-samrs downloads/SAMRS data/samrs"
    ),
    "s5-star": Obtaining(
        "the homepage, which links the files", prepare="s5-hf prepare s5-star downloads/STAR data/star"
    ),
    "s5-uavid": Obtaining("the homepage", note="Read as published, masks of test included where they are there."),
    "s5-udd5": Obtaining("the homepage, which links the files", note="Read as published: folders src and gt."),
    "s5-vdd": Obtaining("the homepage, which links the files", note="Read as published: folders src and gt."),
    "s5-whu-aerial": Obtaining("the homepage", note="Read as published: the tiles in train, val and test."),
    "s5-whu-satellite-2": Obtaining("the homepage", note="Read as published: the cropped tiles of train and test."),
    "s5-inria": Obtaining(
        "the homepage",
        (("tiles of 5000 px with masks", 180, 5000**2),),
        note="Read as published: the folder train, which is divided by a published list.",
    ),
    "s5-xbd-pre": Obtaining("the homepage, after registration", note="Needs images and targets as PNG files."),
    "s5-chn6-cug": Obtaining("the homepage", note="Read as published: folders images and gt of train and val."),
    "s5-deepglobe-roads": Obtaining(
        "the challenge's page for train; https://github.com/xiaoyan07/GRNet_GRSet for the test set with masks",
        note="Read as published.",
    ),
    "s5-massachusetts-roads": Obtaining(
        "the homepage; https://github.com/xiaoyan07/GRNet_GRSet for the test set that numbers are published on",
        note="Folders sat and map, or img and gt.",
    ),
    "s5-spacenet-roads": Obtaining(
        "the homepage, which links the files",
        note="Its part SpaceNet_test_567. For the configuration graphs: RGB_1.0_meter, which the repository of "
        "SAM-Road links, with dataset.json inside.",
    ),
    "s5-global-scale": Obtaining("the homepage", (("images of 2048 px", 3468, 2048**2),)),
    "s5-cityscale-roads": Obtaining(
        "the homepage; the folder 20cities of data.zip", (("images of 2048 px", 180, 2048**2),)
    ),
    "s5-irsamap": Obtaining(
        "the authors' repository, which the article links",
        (("train images of 1024 px", 4617, 1024**2), ("test", 912, 1024**2)),
    ),
    "s5-levir-cc": Obtaining(
        "the homepage, which links the files",
        (
            ("train pairs of two images of 256 px", 6815, 2 * 256**2),
            ("val", 1333, 2 * 256**2),
            ("test", 1929, 2 * 256**2),
        ),
        note="Five sentences for each pair. Masks are optional: a folder label beside A and B.",
    ),
    "s5-levir-cd": Obtaining(
        "the homepage, which links the files",
        (
            ("train pairs of two images of 1024 px", 445, 2 * 1024**2),
            ("val", 64, 2 * 1024**2),
            ("test", 128, 2 * 1024**2),
        ),
        "s5-hf prepare s5-levir-cd downloads/LEVIR-CD data/levir-cd",
        "Read as published, too; most papers train on the crops of 256 px that the command makes.",
    ),
    "s5-whu-cd": Obtaining(
        "the homepage, which links the files",
        (("pair of images of 32,507 x 15,354 px", 1, 2 * 32507 * 15354),),
        "s5-hf prepare s5-whu-cd downloads/WHU data/whu-cd",
        "Ready crops in {train,val,test}/{A,B,label}, or with lists, are read as they are.",
    ),
    "s5-s2looking": Obtaining(
        "the homepage, which links the files",
        (
            ("train pairs of two images of 1024 px", 3500, 2 * 1024**2),
            ("val", 500, 2 * 1024**2),
            ("test", 1000, 2 * 1024**2),
        ),
        "s5-hf prepare s5-s2looking downloads/S2Looking data/s2looking",
        "Read as published, too; the command makes crops of 256 px.",
    ),
    "s5-bandon": Obtaining(
        "the homepage, which links the files",
        prepare="s5-hf prepare s5-bandon downloads/BANDON data/bandon",
        note="2,283 pairs of up to three dates. Read as published, too; the command makes crops of 1024 px.",
    ),
    "s5-second": Obtaining(
        "the homepage, which links the files",
        (("train pairs of two images of 512 px", 2968, 2 * 512**2), ("test", 1694, 2 * 512**2)),
        note="Read as published: folders im1, im2, label1 and label2, below train and test where there are both.",
    ),
    "s5-wbs-si": Obtaining("the homepage", note="Needs the published list wbs-si_val.txt for a validation split."),
}
"""By name in the registry; your own datasets are not in it."""
