"""What the names of this family look like; imports nothing, because every `import s5_hf` needs it."""

NAME_PREFIX = "s5-vit-"
OPEN_NAMES = ("segearth-ov", "segearth-ov-sar")
"""Of models that take any classes; they are made of what others have published."""


def is_of_this_family(name: str) -> bool:
    """Whether a name is one of ours: `s5-vit-...` or `segearth-ov`, without an owner, as no repository on the Hub."""
    return name in OPEN_NAMES or (name.startswith(NAME_PREFIX) and "/" not in name and "\\" not in name)
