"""Hives read and edited in memory."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_samples import BCD_STORES, sample, store
from wimboot.errors import Damaged, FormatError, HostError, Unsupported
from wimboot.formats.regf import BaseBlock
from wimboot.registry import (
    Hive,
    HiveDamaged,
    Node,
    NotEditable,
    RegistryValue,
    ValueType,
    new_hive,
)
from wimboot.registry._hivex import hive_error
from wimboot.registry.controlsets import control_sets
from wimboot.registry.hive import MAX_VALUE_SIZE

Contents = dict[str, dict[str, RegistryValue]]


def contents(data: bytes) -> Contents:
    """Every key and value of a hive."""
    with Hive(data) as hive:
        return dict(walk(hive.root, ""))


def walk(node: Node, path: str) -> Iterator[tuple[str, dict[str, RegistryValue]]]:
    """Depth first."""
    yield path, dict(node.values())
    for child in node.children():
        yield from walk(child, f"{path}\\{child.name}")


@pytest.fixture
def hive() -> Iterator[Hive]:
    """An empty hive, open."""
    with Hive(new_hive()) as opened:
        yield opened


def test_real_hives_are_read() -> None:
    """Keys by path in any case, and values by type."""
    with Hive(sample("SYSTEM-win7")) as hive:
        select = hive.root.child("SELECT")
        assert select is not None
        assert select.name == "Select"
        assert select.number("default") == 1
        language = hive.root.find("controlset001\\control\\nls\\LANGUAGE")
        assert language is not None
        assert language.text("InstallLanguage") == "0409"
        options = hive.root.find("ControlSet001\\Control\\ProductOptions")
        assert options is not None
        assert options.texts("ProductSuite") == ("Terminal Server",)
        assert options.written > 0
        assert hive.root.find("ControlSet001\\services\\Wof") is None
        assert [number for number, _ in control_sets(hive.root)] == [1, 2]


@pytest.mark.parametrize("name", BCD_STORES)
def test_real_stores_keep_all_else_when_one_value_is_set(name: str) -> None:
    """An edit of one element of a BCD changes that element and nothing else, byte by byte of every value."""
    data = store(name)
    before = contents(data)
    with Hive(data) as hive:
        key = hive.root.ensure("Objects\\{9dea862c-5cdd-4e70-acc1-f32b344d4795}\\Elements\\25000004")
        key.set("Element", RegistryValue.binary((7).to_bytes(8, "little")))
        after = contents(hive.commit())
    path = "\\Objects\\{9dea862c-5cdd-4e70-acc1-f32b344d4795}\\Elements\\25000004"
    assert after.pop(path)["Element"].data == (7).to_bytes(8, "little")
    before.pop(path, None)
    assert after == before


def test_a_second_edit_changes_nothing() -> None:
    """Setting what is there already edits nothing, and the commit gives the very bytes."""
    with Hive(new_hive()) as hive:
        assert hive.root.ensure("Setup").set("WimBoot", RegistryValue.dword(1))
        first = hive.commit()
    with Hive(first) as hive:
        assert not hive.root.ensure("Setup").set("wimboot", RegistryValue.dword(1))
        assert not hive.edited
        assert hive.commit() is first


def test_commit_leaves_a_clean_base_block() -> None:
    """The sequences are one higher and equal, however many edits; the checksum fits."""
    data = sample("SYSTEM-win81")
    with Hive(data) as hive:
        setup = hive.root.child("Setup")
        assert setup is not None
        setup.set("WimBoot", RegistryValue.dword(1))
        setup.add_child("Gone").delete()
        out = hive.commit()
    block = BaseBlock.parse(out)
    assert (block.sequence1, block.sequence2, block.sound) == (206, 206, True)
    block.check_primary(len(out))


def test_bytes_behind_the_bins_stay() -> None:
    """A hive file longer than its bins keeps its length and its tail."""
    data = new_hive() + b"tail" * 4096
    with Hive(data) as hive:
        hive.root.set("a", RegistryValue.dword(1))
        out = hive.commit()
    assert len(out) == len(data)
    assert out.endswith(b"tail" * 2048)
    assert contents(out)[""] == {"a": RegistryValue.dword(1)}


names = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F), min_size=0, max_size=12)
values = st.builds(RegistryValue, st.sampled_from(list(ValueType)), st.binary(max_size=60)) | st.builds(
    RegistryValue, st.integers(12, 2**32 - 1), st.binary(max_size=9))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("AbC"), st.sampled_from("xyZ"), names, values | st.none()), max_size=25))
def test_edits_behave_like_a_dictionary(steps: list[tuple[str, str, str, RegistryValue | None]]) -> None:
    """Any sequence of values set and removed, names in any case, leaves what a dictionary would."""
    model: dict[tuple[str, str], dict[str, tuple[str, RegistryValue]]] = {}
    with Hive(new_hive()) as hive:
        for first, second, name, value in steps:
            key, known = hive.root.ensure(f"{first}\\{second}"), model.setdefault((first, second), {})
            folded = name if not name.isascii() else name.lower()
            if value is not None:
                assert key.set(name, value) == (known.get(folded, ("", None))[1] != value)
                if known.get(folded, ("", None))[1] != value:
                    known[folded] = (name, value)
            else:
                assert key.unset(name) == (known.pop(folded, None) is not None)
        found = contents(hive.commit())
    for (first, second), known in model.items():
        assert found[f"\\{first}\\{second}"] == dict(known.values())


def test_keys_are_added_in_order_and_deleted_with_all_below(hive: Hive) -> None:
    """Windows finds keys by halving a sorted list; a deleted key takes its subtree along."""
    for name in ("Zeta", "alpha", "Mid", "beta"):
        hive.root.ensure(f"{name}\\below\\deep").set("v", RegistryValue.dword(1))
    assert [node.name for node in hive.root.children()] == ["alpha", "beta", "Mid", "Zeta"]
    middle = hive.root.child("mid")
    assert middle is not None
    middle.delete()
    found = contents(hive.commit())
    assert not [path for path in found if path.startswith("\\Mid")]
    assert len(found) == 10


@pytest.mark.parametrize("name", ["", "a\\b", "\u4e2d", "x" * 256, "nul\0"])
def test_key_names_that_windows_would_not_find_are_refused(hive: Hive, name: str) -> None:
    """The library hashes other scripts wrongly and knows no backslash; nothing is written."""
    with pytest.raises(NotEditable):
        hive.root.add_child(name)
    assert not hive.edited


def test_a_key_is_not_added_twice(hive: Hive) -> None:
    """In any case."""
    hive.root.add_child("One")
    with pytest.raises(NotEditable, match="already"):
        hive.root.add_child("ONE")


def test_the_root_is_never_deleted(hive: Hive) -> None:
    """It is refused, not tried."""
    with pytest.raises(NotEditable, match="root"):
        hive.root.delete()


def test_values_too_large_to_be_written_rightly_are_refused(hive: Hive) -> None:
    """Windows keeps values over 16,344 bytes in pieces, which the library does not write."""
    hive.root.set("fits", RegistryValue.binary(b"x" * MAX_VALUE_SIZE))
    with pytest.raises(NotEditable, match="16,345 bytes"):
        hive.root.set("large", RegistryValue.binary(b"x" * (MAX_VALUE_SIZE + 1)))


def test_a_key_with_a_large_value_is_read_but_not_edited() -> None:
    """The key's other values would be written anew, the large one wrongly."""
    with Hive(sample("SYSTEM-win10-dirty")) as hive:
        options = hive.root.find("ControlSet001\\Control\\ProductOptions")
        assert options is not None
        policy = options.value("ProductPolicy")
        assert policy is not None
        if len(policy.data) <= MAX_VALUE_SIZE:
            pytest.skip("no large value in this hive")
        with pytest.raises(NotEditable, match="ProductPolicy"):
            options.set("new", RegistryValue.dword(1))
        assert not hive.edited


def test_a_closed_hive_is_closed(hive: Hive) -> None:
    """Closing twice does nothing; using it is a mistake of ours and told as one."""
    root = hive.root
    hive.close()
    hive.close()
    with pytest.raises(ValueError, match="closed"):
        root.children()


@pytest.mark.parametrize("data", [b"", b"regf", new_hive()[:4096], new_hive()[:8000], bytes(8192),
                                  new_hive().replace(b"hbin", b"nibh"), new_hive().replace(b"nk", b"kn")],
                         ids=["empty", "magic", "no bins", "cut", "zeros", "bin", "root"])
def test_what_is_no_hive_is_refused(data: bytes) -> None:
    """Before libhivex sees it, or by it; never a crash."""
    with pytest.raises((FormatError, HiveDamaged)), Hive(data) as hive:
        hive.root.children()


@pytest.mark.parametrize(("code", "kind"), [
    (errno.ENOMEM, HostError), (errno.EMFILE, HostError), (errno.EACCES, HostError), (errno.ERANGE, Unsupported),
    (errno.EOVERFLOW, Unsupported), (errno.EFAULT, Damaged), (errno.EINVAL, Damaged), (errno.ENOTSUP, Damaged),
    (errno.ELOOP, Damaged), (errno.ENOKEY, Damaged), (errno.EILSEQ, Damaged), (0, Damaged), (12345, Damaged),
])
def test_every_code_of_the_library_has_an_error(code: int, kind: type[Exception]) -> None:
    """What hivex documents, what iconv adds, and what nobody knows: each names the call."""
    error = hive_error("hivex_node_children", code)
    assert isinstance(error, kind)
    assert "hivex_node_children" in str(error)


def test_typed_values_are_what_windows_writes() -> None:
    """UTF-16 with NUL, little endian; a MULTI_SZ ends with an empty string."""
    assert RegistryValue.sz("a").data == b"a\0\0\0"
    assert RegistryValue.multi_sz("a", "b").data == b"a\0\0\0b\0\0\0\0\0"
    assert RegistryValue.multi_sz("a", "b").texts() == ("a", "b")
    assert RegistryValue.expand_sz("%a%").text() == "%a%"
    assert RegistryValue.dword(258).data == b"\2\1\0\0"
    assert RegistryValue(ValueType.QWORD, b"\5" + bytes(7)).number() == 5
    assert RegistryValue(ValueType.DWORD_BIG_ENDIAN, b"\0\0\1\0").number() == 256
    assert RegistryValue(ValueType.DWORD, b"\0\0").number() is None
    assert RegistryValue.sz("x").number() is None
    assert RegistryValue.dword(1).text() is None
    assert RegistryValue.dword(1).texts() is None
    assert RegistryValue(ValueType.SZ, b"\x00\xd8!").text() == "\ud800"
