"""A real browser for pages."""

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A function that opens a page in a real browser without a window and gives what it prints."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("the page is tried in a browser, and neither Chromium nor Chrome is on PATH")
    profile = tmp_path_factory.mktemp("browser")

    def run(page: Path, *options: str) -> str:
        command = [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            "--window-size=1000,700",
            "--virtual-time-budget=3000",
            f"--user-data-dir={profile}",
            *options,
            page.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, timeout=120, check=True)
        return done.stdout.decode("utf-8", errors="replace")

    return run
