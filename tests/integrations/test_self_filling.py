"""Dictionaries that fill themselves at the first look."""

import pickle
import threading

import pytest

from s5_hf.integrations.auto_classes import SelfFillingDict


@pytest.mark.parametrize(
    "look",
    [
        lambda entries: "new" in entries,
        lambda entries: entries["new"],
        lambda entries: entries.get("new"),
        lambda entries: len(entries) == 2,
        lambda entries: "new" in list(entries),
        lambda entries: "new" in entries.keys(),  # noqa: SIM118 - each way of looking is tried
        lambda entries: "value" in entries.values(),
        lambda entries: ("new", "value") in entries.items(),
        lambda entries: dict(entries)["new"],
        lambda entries: pickle.loads(pickle.dumps(entries))["new"],
    ],
)
def test_a_self_filling_dictionary_is_complete_at_any_look(look: object):
    calls = []

    def fill() -> None:
        calls.append(1)
        assert "new" not in entries
        entries["new"] = "value"

    entries = SelfFillingDict({"old": "kept"}, fill)
    assert calls == [] and look(entries) and entries["old"] == "kept" and calls == [1]


def test_a_self_filling_dictionary_that_failed_tries_again():
    attempts = []

    def fill() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise ImportError("not yet")
        entries["new"] = "value"

    entries = SelfFillingDict({}, fill)
    with pytest.raises(ImportError, match="not yet"):
        entries.get("new")
    found = []
    threads = [threading.Thread(target=lambda: found.append(entries["new"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["value"] * 4
