"""Every note has a test: some test names the id that front-ends match on."""

from __future__ import annotations

import ast

from sources import modules, parsed, relative, test_modules


def noted() -> dict[str, str]:
    """The id of each note that the program sends, with the module that does."""
    return {str(word.value.value): relative(path) for path in modules() for call in ast.walk(parsed(path))
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "Note"
            for word in call.keywords if word.arg == "id" and isinstance(word.value, ast.Constant)}


def test_each_note_has_a_test() -> None:
    """By its id, in quotes, as a test looks it up."""
    tests = "\n".join(path.read_text(encoding="utf-8") for path in test_modules())
    strays = {name: where for name, where in noted().items() if f'"{name}"' not in tests}
    assert not strays


def test_ids_of_notes_are_words() -> None:
    """Lower case with hyphens, as those of errors are."""
    found = noted()
    assert len(found) > 40
    assert all(name.replace("-", "").isalnum() and name == name.lower() for name in found)
