"""Reading JSON: what is wrong with a file is said with its name."""

import pytest

from s5_hf.files import read_json_object


def test_an_object_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"name": "été"}', encoding="utf-8")
    assert read_json_object(tmp_path / "a.json") == {"name": "été"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"name": ', r"a\.json is not valid JSON: .*line 1"),
        (b'["name"]', r"a\.json holds list in JSON, expected an object"),
        (b'{"name": "\xff"}', r"a\.json is not UTF-8 text \(byte 10\)"),
    ],
    ids=["cut", "list", "latin"],
)
def test_other_content_is_refused_with_the_name_of_the_file(tmp_path, content, problem):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=problem):
        read_json_object(tmp_path / "a.json")
