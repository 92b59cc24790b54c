"""Names in a model card stay names: not code in the snippet, not markup, not metadata."""

import ast
import re

import pytest
from huggingface_hub import ModelCard

from s5_hf.hub.model_card import escaped, literal, model_card
from s5_hf.modeling import S5SegmentationConfig, S5ViTConfig
from tests.conftest import MICRO_VIT

NASTY = [
    'roads")\nimport os; os.system("touch ran") #',
    "x\n```\n\n# Free money\n\n```python\nimport os",
    "a | b | c",
    "<script>alert(1)</script>",
    "[here](http://example.com) ![pixel](http://example.com/p.png)",
    "---\nlicense: mit\n---",
    "**bold** _under_ `code` \\ $x$ & 🚀 森",
]


@pytest.mark.parametrize("name", NASTY)
def test_names_of_tasks_and_classes_are_no_code_markup_or_metadata(name):
    tasks = [{"name": "fields", "labels": ["a", "b"]}, {"name": name, "labels": ["ground", name]}]
    config = S5SegmentationConfig(S5ViTConfig(**MICRO_VIT), tasks=tasks, decoder_channels=16)
    card = model_card(config, "me/model", None, {name: {"mIoU": 5.0, name: 1.0}})

    assert card.data.license is None and card.data.library_name == "transformers"
    assert card.text.count("```") == 2
    code = re.search(r"```python\n(.+?)```", card.text, re.DOTALL)[1]
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    assert [keyword.value.value for call in calls for keyword in call.keywords if keyword.arg == "task"] == [name]
    imported = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [node.module for node in imported] == ["PIL", "transformers"]
    assert [line for line in card.text.splitlines() if line.startswith("#")] == [
        "# model",
        "## Classes",
        "## Metrics",
        "## Usage",
        "## Licence",
    ]
    rows = [line for line in card.text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {4}
    assert not re.search(r"<script|\]\(http://example|!\[", card.text.replace(code, ""))


def test_a_licence_that_is_markup_is_escaped_and_kept_in_the_metadata():
    config = S5ViTConfig(**MICRO_VIT)
    card = model_card(config, "me/model", "mit\n---\n# Boo <b>", {})
    assert ModelCard(str(card)).data.license == "mit\n---\n# Boo <b>"
    assert "\n# Boo" not in card.text and "<b>" not in card.text


@pytest.mark.parametrize("text", [*NASTY, "'", "\\", "\x00\x1b", "plain"])
def test_literals_are_the_text(text):
    assert ast.literal_eval(literal(text)) == text
    assert literal("plain") == '"plain"' and escaped("low vegetation (grass)") == "low vegetation (grass)"
