"""Pages that act by themselves, to be tried in a browser."""

from pathlib import Path


def with_script(page: Path, script: str) -> Path:
    """A copy of a page with one more script."""
    text = page.read_text(encoding="utf-8")
    copy = page.with_name("tried.html")
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    return copy
