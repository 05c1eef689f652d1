"""Random histories of changes, told at the same time to a volume and to a dictionary."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from index_judge import index_problems, open_volume, read_records
from judges import fixer, resizer, tracer
from volume_rig import ROOT, TIMES, descriptor, fresh_volume, pointer, utf16
from wimboot.ntfs import refusals
from wimboot.ntfs.volume import Volume
from wimboot.storage import FileDevice, HostFile

POSIX, WIN32, DOS, BOTH = range(4)
RECORD = (1 << 48) - 1

names = st.one_of(st.sampled_from(["a", "A", "b", "a name", "another long name.txt", "ALONG~1", "\ud800", "n" * 200]),
                  st.text("abAB .", min_size=1, max_size=5).filter(lambda text: text not in (".", "..")))
shorts = st.sampled_from(["", "", "ALONG~1", "ALONG~2", "A", "B.TXT"])
contents = st.builds(lambda size, byte: bytes([byte]) * size, st.sampled_from([0, 5, 300, 650, 5000, 70_000]),
                     st.integers(0, 3))


@dataclass
class Model:
    """What a file should be. `names`: (parent, name) -> the name's DOS name, "" none."""

    folder: bool
    names: dict[tuple[int, str], str]
    streams: dict[str, bytes] = field(default_factory=dict)
    reparse: bytes = b""
    size: int = 0
    object_id: bytes = b""


class History(RuleBasedStateMachine):
    """Every rule does one change; what the dictionary says is impossible must be refused, with nothing torn."""

    folders: Bundle[int] = Bundle("folders")
    files: Bundle[int] = Bundle("files")

    def __init__(self) -> None:
        super().__init__()
        self.scratch = Path(tempfile.mkdtemp(prefix="wimboot-history-"))
        self.path = fresh_volume(self.scratch / "volume.img")
        self.model: dict[int, Model] = {}
        self.open()

    def open(self) -> None:
        self.file = HostFile.open(self.path, write=True)
        self.volume = Volume(FileDevice(self.file), write=True, where="volume")

    def close(self) -> None:
        self.volume.close()
        self.file.close()

    def teardown(self) -> None:
        try:
            self.close()
            assert index_problems(self.path) == []
            for judge in (tracer, resizer, fixer):
                judge(self.path)
            self.compare()
        finally:
            shutil.rmtree(self.scratch)

    def compare(self) -> None:
        with open_volume(self.path) as view:
            records = read_records(view)
            for file_id, model in self.model.items():
                record = records[file_id & RECORD]
                assert record.reference == file_id
                assert {(n.parent, n.shown, n.namespace) for n in record.names} == set(_names(model))
                assert record.reparse == model.reparse
                assert record.object_id[:16] == model.object_id
                assert model.folder or record.size == model.size
            user = {r.reference for r in records.values() if r.names and r.names[0].parent & RECORD not in (5, 11)}
            assert user <= set(self.model)
        file = HostFile.open(self.path)
        with Volume(FileDevice(file), write=False, where="volume") as volume:
            for file_id, model in self.model.items():
                for name, content in model.streams.items():
                    assert volume.read(file_id, utf16(name)) == content
        file.close()

    def taken(self, parent: int, name: str) -> bool:
        """Names differ by case; DOS names share the folder's space, except for a name that is its own."""
        return any(p == parent and name in (n, short if short.upper() != n.upper() else n)
                   for model in self.model.values() for (p, n), short in model.names.items())

    def alive(self, file_id: int) -> bool:
        return file_id == ROOT or file_id in self.model

    # rules ---------------------------------------------------------------------------------------------------

    @initialize(target=folders)
    def root(self) -> int:
        return ROOT

    def make(self, kind: str, parent: int, name: str, short: str, size: int = 0) -> int | None:
        arguments: Any = (parent, utf16(name), utf16(short), 0x20, TIMES, 0)
        call = getattr(self.volume, f"create_{kind}")
        extra: Any = (size, pointer(size)) if kind == "pointer" else ()
        pair = bool(short) and short.upper() != name.upper()
        if not self.alive(parent) or self.taken(parent, name) or (pair and self.taken(parent, short)):
            with pytest.raises((refusals.NameTaken, refusals.FileNotFound)):
                call(*arguments, *extra)
            assert not self.volume.torn
            return None
        file_id = int(call(*arguments, *extra))
        assert file_id not in self.model
        self.model[file_id] = Model(kind == "folder", {(parent, name): short}, size=size,
                                    streams={"": b""} if kind == "file" else {}, reparse=pointer(size) if size else b"")
        return file_id

    @rule(target=folders, parent=folders, name=names, short=shorts)
    def create_folder(self, parent: int, name: str, short: str) -> int:
        return self.make("folder", parent, name, short) or ROOT

    @rule(target=files, parent=folders, name=names, short=shorts)
    def create_file(self, parent: int, name: str, short: str) -> int:
        return self.make("file", parent, name, short) or 0

    @rule(target=files, parent=folders, name=names, short=shorts, size=st.integers(1, 1 << 30))
    def create_pointer(self, parent: int, name: str, short: str, size: int) -> int:
        return self.make("pointer", parent, name, short, size) or 0

    @rule(file_id=files, name=st.sampled_from(["", "", "s", "S", "stream"]), content=contents, sparse=st.booleans(),
          compressed=st.booleans())
    def write(self, file_id: int, name: str, content: bytes, sparse: bool, compressed: bool) -> None:
        if model := self.model.get(file_id):
            self.volume.write_data(file_id, utf16(name), [content], len(content), sparse=sparse, compressed=compressed)
            model.streams[name] = content
            if not name:
                model.size, model.reparse = len(content), b""

    @rule(file_id=files, size=st.integers(1, 1 << 30))
    def point(self, file_id: int, size: int) -> None:
        if model := self.model.get(file_id):
            if model.reparse:
                with pytest.raises(refusals.ReparseTaken):
                    self.volume.point(file_id, pointer(size), size)
                self.volume.replace_reparse(file_id, pointer(model.size, size))
                model.reparse = pointer(model.size, size)
            else:
                self.volume.point(file_id, pointer(size), size)
                model.reparse, model.size = pointer(size), size
                model.streams.pop("", None)

    @rule(file_id=files, parent=folders, name=names)
    def link(self, file_id: int, parent: int, name: str) -> None:
        if model := self.model.get(file_id):
            if self.taken(parent, name) or not self.alive(parent):
                with pytest.raises((refusals.NameTaken, refusals.FileNotFound)):
                    self.volume.link(file_id, parent, utf16(name))
            else:
                self.volume.link(file_id, parent, utf16(name))
                model.names[parent, name] = ""

    @rule(file_id=files, data=st.data())
    def unlink(self, file_id: int, data: st.DataObject) -> None:
        if model := self.model.get(file_id):
            parent, name = data.draw(st.sampled_from(sorted(model.names, key=repr)))
            self.volume.unlink(file_id, parent, utf16(name))
            del model.names[parent, name]
            if not model.names:
                del self.model[file_id]

    @rule(file_id=files, parent=folders, name=names, short=shorts, data=st.data())
    def rename(self, file_id: int, parent: int, name: str, short: str, data: st.DataObject) -> None:
        model = self.model.get(file_id)
        if model is None or not self.alive(parent):
            return
        old = data.draw(st.sampled_from(sorted(model.names, key=repr)))
        kept = model.names.pop(old)
        others = {key: value for key, value in model.names.items() if value}
        if short:
            model.names.update(dict.fromkeys(others, ""))
        blocked = self.taken(parent, name) or (short and self.taken(parent, short))
        model.names.update(others)
        model.names[old] = kept
        if blocked or self.taken(parent, name) or (short and self.taken(parent, short)):
            return      # what is refused, and when, other tests say
        self.volume.rename(file_id, old[0], utf16(old[1]), parent, utf16(name), utf16(short))
        del model.names[old]
        if short:
            model.names.update(dict.fromkeys(others, ""))
        model.names[parent, name] = short

    @rule(file_id=files, short=shorts, data=st.data())
    def shorten(self, file_id: int, short: str, data: st.DataObject) -> None:
        if model := self.model.get(file_id):
            parent, name = data.draw(st.sampled_from(sorted(model.names, key=repr)))
            if short and short.upper() != name.upper() and self.taken(parent, short):
                return
            self.volume.set_short_name(file_id, parent, utf16(name), utf16(short))
            model.names.update(dict.fromkeys(model.names, ""))
            model.names[parent, name] = short

    @rule(folder=folders)
    def remove_folder(self, folder: int) -> None:
        model = self.model.get(folder)
        if model is not None:
            (parent, name), = model.names
            if any(p == folder for other in self.model.values() for p, _ in other.names):
                with pytest.raises(refusals.FolderNotEmpty):
                    self.volume.remove_folder(folder, parent, utf16(name))
            else:
                self.volume.remove_folder(folder, parent, utf16(name))
                del self.model[folder]

    @rule(file_id=files, number=st.integers(0, 5))
    def facts(self, file_id: int, number: int) -> None:
        if model := self.model.get(file_id):
            self.volume.set_attributes(file_id, 1 << number)
            self.volume.set_security(file_id, self.volume.security_id(descriptor(600 + number)))
            self.volume.set_times(file_id, number, number + 1, number + 2)
            wanted = bytes([number]) * 16
            if any(other.object_id == wanted for other in self.model.values() if other is not model):
                with pytest.raises(refusals.ObjectIdTaken):
                    self.volume.set_object_id(file_id, wanted)
            else:
                self.volume.set_object_id(file_id, wanted if number else b"")
                model.object_id = wanted if number else b""

    @precondition(lambda self: self.model)
    @rule()
    def reopen(self) -> None:
        self.close()
        self.open()


def _names(model: Model) -> list[tuple[int, str, int]]:
    out = []
    for (parent, name), short in model.names.items():
        shown = utf16(name).decode("utf-16-le", "replace")
        if not short:
            out.append((parent, shown, POSIX))
        elif short.upper() == name.upper():
            out.append((parent, shown, BOTH))
        else:
            out += [(parent, shown, WIN32), (parent, short, DOS)]
    return out


def _run(examples: int, steps: int) -> None:
    run_state_machine_as_test(History, settings=settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)))


def test_short_histories_end_as_the_dictionary_says() -> None:
    """Whatever is done in whatever order, the volume is sound and is what the model is."""
    _run(8, 30)


@pytest.mark.heavy
def test_long_histories_end_as_the_dictionary_says() -> None:
    """The same, longer and oftener."""
    _run(150, 120)
