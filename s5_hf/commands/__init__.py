"""The command groups of `s5-hf`, one file each. A command parses, calls the package once and prints."""
