"""Plans are pure: from a tree, the lists' verdicts and the store's rows to what is done, counted, refused."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.figures import told_size
from wimboot.formats.blobtable import MAX_POINTER_SIZE
from wimboot.plan.capture import plan_capture
from wimboot.plan.forms import RESIDENT_LIMIT, plan_forms
from wimboot.plan.pointing import plan_pointing, why_real
from wimboot.plan.space import (
    NotEnoughSpace,
    check_log_space,
    check_volume_space,
    check_wim_space,
    log_size,
    wim_growth,
)
from wimboot.tree import FileAttribute, StreamFlag, Tree
from wimboot.tree._builder import Builder
from wimboot.windows.whyreal import WhyReal

FOLDER, REPARSE, ENCRYPTED = FileAttribute.DIRECTORY, FileAttribute.REPARSE_POINT, FileAttribute.ENCRYPTED
LINK_TAG = 0xA000000C


@dataclass(slots=True)
class Files:
    """A flat volume, file by file; `nodes` by name."""

    builder: Builder = field(default_factory=lambda: Builder(4096))
    nodes: dict[str, int] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, size: int = 5000, *, attributes: int = 0x20, flags: int = 0, tag: int = 0,
            known: bool = True) -> None:
        """A file with unnamed data of `size` bytes, its hash made of its name."""
        node = self.builder.node(attributes=attributes, reparse_tag=tag, file_id=100 + len(self.nodes))
        if not attributes & FOLDER:
            digest = name.encode().ljust(20, b"\1") if known and size else None
            self.streams[name] = self.builder.stream(node, size=size, flags=flags, hash=digest)
        self.builder.link(0, node, name.encode("utf-16-le"))
        self.nodes[name] = node

    @property
    def tree(self) -> Tree:
        """What was built."""
        return self.builder.tree


def every_kind() -> Files:
    """One file for each reason there is."""
    files = Files()
    files.add("plain")
    files.add("ruled")
    files.add("folder", attributes=FOLDER)
    files.add("link", attributes=REPARSE, tag=LINK_TAG, size=0)
    files.add("empty", 0)
    files.add("resident", 300, flags=StreamFlag.RESIDENT)
    files.add("encrypted", attributes=ENCRYPTED, flags=StreamFlag.ENCRYPTED)
    files.add("limit", MAX_POINTER_SIZE)
    files.add("beyond", MAX_POINTER_SIZE + 1)
    files.add("absent")
    files.add("excluded")
    return files


def _places(hashes: Sequence[bytes]) -> list[tuple[int, int] | None]:
    return [None if digest.startswith(b"absent") else (1000 + number, 10) for number, digest in enumerate(hashes)]


def _columns(hashes: bytes) -> array[int]:
    digests = [hashes[at:at + 20] for at in range(0, len(hashes), 20)]
    return array("Q", (number for place in _places(digests) for number in place or (0, 0)))


def _ruled(files: Files) -> array[int]:
    ruled = array("i", [-1]) * files.tree.node_count
    ruled[files.nodes["ruled"]] = 7
    return ruled


def test_pointing_takes_what_nothing_keeps_real() -> None:
    """And gives each other file its reason."""
    files = every_kind()
    included = bytearray(b"\1") * files.tree.node_count
    included[files.nodes["excluded"]] = 0
    plan = plan_pointing(files.tree, included=included, ruled_by=_ruled(files), places=_places)
    assert set(plan.nodes) == {files.nodes["plain"], files.nodes["limit"]}
    assert plan.blobs == {b"plain".ljust(20, b"\1"): 5000, b"limit".ljust(20, b"\1"): MAX_POINTER_SIZE}
    assert len(plan.rows) == len(plan.places) == len(plan.nodes)
    assert plan.real == {WhyReal.RULE: 1, WhyReal.FOLDER: 2, WhyReal.REPARSE_POINT: 1, WhyReal.EMPTY: 1,
                         WhyReal.RESIDENT: 1, WhyReal.ENCRYPTED: 1, WhyReal.TOO_LARGE: 1, WhyReal.NOT_IN_WIM: 1,
                         WhyReal.EXCLUDED: 1}
    assert len(plan.nodes) + sum(plan.real.values()) == files.tree.node_count


@pytest.mark.parametrize(("name", "reason"), [
    ("plain", None), ("folder", WhyReal.FOLDER), ("link", WhyReal.REPARSE_POINT), ("empty", WhyReal.EMPTY),
    ("resident", WhyReal.RESIDENT), ("encrypted", WhyReal.ENCRYPTED), ("limit", None), ("beyond", WhyReal.TOO_LARGE)])
def test_the_reason_for_one_file_is_that_of_the_plan(name: str, reason: WhyReal | None) -> None:
    """`explain` and `convert` agree; being excluded comes before a rule."""
    files = every_kind()
    node = files.nodes[name]
    assert why_real(files.tree, node, excluded=False, ruled=False) is reason
    if reason is None:
        assert why_real(files.tree, node, excluded=False, ruled=True) is WhyReal.RULE
        assert why_real(files.tree, node, excluded=True, ruled=True) is WhyReal.EXCLUDED


def test_forms_of_an_image_follow_the_same_rules() -> None:
    """A file that would fit its record stays real; what has no place in the WIM is written."""
    files = every_kind()
    files.add("small", RESIDENT_LIMIT)
    files.add("smallest pointer", RESIDENT_LIMIT + 1)
    ruled = _ruled(files)
    ruled.extend([-1] * (files.tree.node_count - len(ruled)))
    forms = plan_forms(files.tree, pointers=True, ruled_by=ruled, places=_columns)
    pointed = {name for name, node in files.nodes.items() if forms.is_pointer(node)}
    assert pointed == {"plain", "limit", "smallest pointer", "excluded"}
    assert forms.pointed == 4
    assert forms.full_size >= 2 * 5000  # the ruled and the absent one


def test_without_pointers_all_data_is_written() -> None:
    """Every byte of it is counted."""
    files = Files()
    for name, size in (("a", 1), ("b", 70_000), ("c", 0)):
        files.add(name, size)
    forms = plan_forms(files.tree, pointers=False, ruled_by=array("i", [-1]) * files.tree.node_count,
                       places=_columns)
    assert not any(map(forms.is_pointer, range(files.tree.node_count)))
    assert forms.full_size == 70_001


def test_a_capture_reads_what_has_no_hash_yet() -> None:
    """Excluded files and pointers are not read; encrypted ones are left out and named."""
    files = Files()
    files.add("new", 100, known=False)
    files.add("known", 100)
    files.add("out", 100, known=False)
    files.add("secret", 100, attributes=ENCRYPTED, flags=StreamFlag.ENCRYPTED, known=False)
    excluded = bytearray(files.tree.link_count)
    excluded[3] = 1
    plan = plan_capture(files.tree, excluded)
    assert set(plan.streams) == {files.streams["new"]}
    assert plan.read_size == 100
    assert plan.encrypted == ["\\secret"]
    assert [bool(plan.included[files.nodes[name]]) for name in ("new", "known", "out", "secret")] == [
        True, True, False, False]
    assert not excluded[4], "the caller's verdict is not changed"


def test_a_file_with_one_name_left_is_still_captured() -> None:
    """Excluding one of two names leaves the other."""
    files = Files()
    files.add("one", 100, known=False)
    files.builder.link(0, files.nodes["one"], "two".encode("utf-16-le"))
    plan = plan_capture(files.tree, bytearray(b"\0\1\0"))
    assert plan.included[files.nodes["one"]]
    assert set(plan.streams) == {files.streams["one"]}


@given(size=st.integers(0, 1 << 50), free=st.integers(0, 1 << 50), files=st.integers(0, 1 << 30))
def test_space_is_refused_exactly_where_it_lacks(size: int, free: int, files: int) -> None:
    """The refusal carries the figures."""
    for needed, amount, check in ((wim_growth(size), size, check_wim_space), (log_size(files), files, check_log_space)):
        if needed <= free:
            check(amount, free, where="here")
            continue
        with pytest.raises(NotEnoughSpace) as caught:
            check(amount, free, where="here")
        assert caught.value.facts["needed"] == needed
        assert caught.value.facts["free"] == free
        assert f"where {told_size(free)} are free" in str(caught.value)


def test_a_volume_needs_room_for_names_and_data() -> None:
    """Even a thousand pointers take something."""
    check_volume_space(10 << 20, 1000, 1 << 20, where="here")
    with pytest.raises(NotEnoughSpace):
        check_volume_space(1 << 20, 10, 1 << 20, where="here")
    with pytest.raises(NotEnoughSpace):
        check_volume_space(1 << 20, 1000, 0, where="here")
