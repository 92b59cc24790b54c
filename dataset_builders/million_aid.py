"""Million-AID: a million scene images from many sensors, used without their labels."""

from .unlabelled_builder import UnlabelledBuilder


class MillionAID(UnlabelledBuilder):
    """`train/CLASS/.../NAME.jpg` and `test/NAME.jpg`: all are images."""

    DATASET = "s5-million-aid"
    RELEASE_FOLDERS = ("unlabeled/MillionAID", "MillionAID", "Million-AID")
