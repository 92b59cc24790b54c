"""Pictures of validations."""

import pytest
from PIL import Image

from s5_hf.training.panels import write_panel


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_no_partial_file_stays_of_a_panel_that_is_not_finished(tmp_path, monkeypatch, error):
    path = tmp_path / "panels" / "fields-step-00000010.png"
    panel = Image.new("RGB", (30, 20), "red")

    def save_half(image, place, **options):
        place.write_bytes(b"half")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", save_half)
        with pytest.raises(error):
            write_panel(path, panel)
    assert list(path.parent.iterdir()) == []
    write_panel(path, panel)
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert Image.open(path).getpixel((5, 5)) == (255, 0, 0)


def test_the_next_panel_removes_what_a_killed_run_left(tmp_path):
    (tmp_path / ".fields-step-00000010.png.abc123.partial").write_bytes(b"half")
    (tmp_path / "fields-step-00000010.png").write_bytes(b"an older panel")
    write_panel(tmp_path / "fields-step-00000020.png", Image.new("RGB", (30, 20)))
    names = ["fields-step-00000010.png", "fields-step-00000020.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
