"""SAMRS: images of DOTA-v2, DIOR and FAIR1M (the parts SOTA, SIOR and FAST), used without their masks."""

from .unlabelled_builder import UnlabelledBuilder


class SAMRS(UnlabelledBuilder):
    """`{SOTA,SIOR,FAST}/{images,...}`: label folders are left out, `source` is the part."""

    DATASET = "s5-samrs"
    RELEASE_FOLDERS = ("unlabeled/SAMRS", "SAMRS")
