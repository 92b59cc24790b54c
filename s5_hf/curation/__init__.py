"""Curation of pre-training data: score, cluster, select, export (S5, section "Pre-training Dataset Curation").

`entropy`, `content`, `quotas`, `walk` and `duplicates` hold the mathematics, on arrays. Around them lie the steps,
which read and write files: `score` -> `cluster` -> `select` -> `export`. `recipe` runs all four.
"""
