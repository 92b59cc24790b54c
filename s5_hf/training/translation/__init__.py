"""Training of SRUIT: images of one date get the look of the other, without labels."""
