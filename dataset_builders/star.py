"""STAR: large satellite images with scene graphs, used without their labels."""

from .unlabelled_builder import UnlabelledBuilder


class STAR(UnlabelledBuilder):
    """`{train,val,test}/img/NAME.png`: all are images. Cut the large ones with `s5-hf prepare` first."""

    DATASET = "s5-star"
    RELEASE_FOLDERS = ("unlabeled/STAR", "STAR")
