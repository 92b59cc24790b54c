"""What the names of this family look like; imports nothing, because every `import s5_hf` needs it."""

NAME_PREFIX = "s5-vit-"


def is_of_this_family(name: str) -> bool:
    """Whether a name is one of ours: `s5-vit-...` without an owner, which no repository on the Hub can have."""
    return name.startswith(NAME_PREFIX) and "/" not in name and "\\" not in name
