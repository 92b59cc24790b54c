"""SegEarth-R1: masks that answer questions."""
