"""Training of SimFeatUp: features of a frozen vision transformer at the size of its images, without labels."""
