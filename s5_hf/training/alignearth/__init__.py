"""AlignEarth: a CLIP for radar images, taught by one for optical images on pairs of both."""
