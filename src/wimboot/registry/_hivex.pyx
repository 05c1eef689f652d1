# cython: language_level=3
# distutils: libraries = hivex
"""libhivex: one open hive, its calls checked. `hive.py` gives it names and guards.

Nodes and values are numbers, the place of their cell; they stay the same when a hive is committed and opened again.
hivex checks that a place is that of a cell, not that a cell is long enough; whoever opens a hive leaves ROOM zero bytes
behind it, so that what hivex reads past a cell is still the file. Not for several threads at once.
"""

cimport libc.errno as c
from libc.stdint cimport int64_t
from libc.stdlib cimport free
from libc.string cimport strlen

import errno as _errno
import os

from wimboot.errors import Damaged, HostError, Unsupported

cdef extern from "<strings.h>" nogil:
    int strcasecmp(const char *a, const char *b)

cdef extern from "hivex.h" nogil:
    ctypedef struct hive_h:
        pass
    ctypedef size_t hive_node_h
    ctypedef size_t hive_value_h
    ctypedef int hive_type
    ctypedef struct hive_set_value:
        char *key
        hive_type t
        size_t len
        char *value
    int HIVEX_OPEN_WRITE
    hive_h *hivex_open(const char *filename, int flags)
    int hivex_close(hive_h *h)
    hive_node_h hivex_root(hive_h *h)
    char *hivex_node_name(hive_h *h, hive_node_h node)
    int64_t hivex_node_timestamp(hive_h *h, hive_node_h node)
    hive_node_h *hivex_node_children(hive_h *h, hive_node_h node)
    hive_value_h *hivex_node_values(hive_h *h, hive_node_h node)
    size_t hivex_value_key_len(hive_h *h, hive_value_h value)
    char *hivex_value_key(hive_h *h, hive_value_h value)
    int hivex_value_type(hive_h *h, hive_value_h value, hive_type *t, size_t *size)
    char *hivex_value_value(hive_h *h, hive_value_h value, hive_type *t, size_t *size)
    hive_value_h hivex_value_data_cell_offset(hive_h *h, hive_value_h value, size_t *size)
    int hivex_commit(hive_h *h, const char *filename, int flags)
    hive_node_h hivex_node_add_child(hive_h *h, hive_node_h parent, const char *name)
    int hivex_node_delete_child(hive_h *h, hive_node_h node)
    int hivex_node_set_values(hive_h *h, hive_node_h node, size_t count, const hive_set_value *values, int flags)
    int hivex_node_set_value(hive_h *h, hive_node_h node, const hive_set_value *value, int flags)

ROOM = 1 << 20
"""Zero bytes behind the hive bins: the longest over-read is a list of 65,535 places of 4 bytes."""


class HiveDamaged(Damaged):
    """A cell of the hive is not what its place promises."""

    id = "registry-hive"
    sentence = "the registry hive is damaged: {problem}"
    advice = "Start this Windows and let it repair the hive, or take a copy from \\Windows\\System32\\config\\RegBack."


class HiveBeyondLimits(Unsupported):
    """A key or value is larger than the library handles."""

    id = "registry-limits"
    sentence = "the registry hive has more in one place than can be handled: {problem}"


class HiveHostError(HostError):
    """No memory, no file."""

    id = "registry-host"


def hive_error(call, code):
    """The error of a failed call of the library with `code` in errno."""
    text = os.strerror(code) if code else "no reason given"
    if code == _errno.ERANGE or code == _errno.EOVERFLOW:
        return HiveBeyondLimits(problem=f"{call}: {text}")
    if code in (_errno.ENOMEM, _errno.EMFILE, _errno.ENFILE, _errno.EACCES, _errno.EPERM, _errno.EIO, _errno.ENOSPC,
                _errno.ENOENT, _errno.EROFS, _errno.EFBIG):
        return HiveHostError(what=call, where="in memory", why=text)
    return HiveDamaged(problem=f"{call}: {text}")


cdef str _text(char *name):
    """Takes the C string over."""
    try:
        return name[:strlen(name)].decode("utf-8", "surrogateescape")
    finally:
        free(name)


cdef list _listed(size_t *found, str call):
    """What libhivex listed, a zero behind the last."""
    cdef size_t i = 0
    if found == NULL:
        raise hive_error(call, c.errno)
    try:
        result = []
        while found[i] != 0:
            result.append(found[i])
            i += 1
        return result
    finally:
        free(found)


cdef class Handle:
    """An open hive; `write` opens it for editing, which happens in memory until `commit`."""

    cdef hive_h *_hive

    def __cinit__(self, str path, bint write):
        cdef bytes name = os.fsencode(path)
        c.errno = 0
        self._hive = hivex_open(name, HIVEX_OPEN_WRITE if write else 0)
        if self._hive == NULL:
            raise hive_error("hivex_open", c.errno)

    def __dealloc__(self):
        if self._hive != NULL:
            hivex_close(self._hive)

    def close(self):
        """Give memory back; a second call does nothing."""
        cdef hive_h *hive = self._hive
        self._hive = NULL
        if hive != NULL:
            hivex_close(hive)

    cdef hive_h *_open(self) except NULL:
        if self._hive == NULL:
            raise ValueError("the hive is closed")
        return self._hive

    def root(self):
        """The root key."""
        c.errno = 0
        cdef hive_node_h node = hivex_root(self._open())
        if node == 0:
            raise hive_error("hivex_root", c.errno)
        return node

    def name(self, size_t node):
        """A key's name."""
        c.errno = 0
        cdef char *name = hivex_node_name(self._open(), node)
        if name == NULL:
            raise hive_error("hivex_node_name", c.errno)
        return _text(name)

    def timestamp(self, size_t node):
        """FILETIME of a key's last change."""
        c.errno = 0
        cdef int64_t time = hivex_node_timestamp(self._open(), node)
        if time < 0:
            raise hive_error("hivex_node_timestamp", c.errno)
        return time

    def children(self, size_t node):
        """The keys below a key."""
        c.errno = 0
        return _listed(hivex_node_children(self._open(), node), "hivex_node_children")

    def child(self, size_t node, bytes name):
        """The key of that name (UTF-8, ASCII letters in any case) below a key; 0 if none."""
        c.errno = 0
        return self._named(hivex_node_children(self._open(), node), hivex_node_name, name, "hivex_node_children")

    def values(self, size_t node):
        """The values of a key."""
        c.errno = 0
        return _listed(hivex_node_values(self._open(), node), "hivex_node_values")

    def value(self, size_t node, bytes name):
        """The value of that name (UTF-8, ASCII letters in any case) of a key; 0 if none."""
        c.errno = 0
        return self._named(hivex_node_values(self._open(), node), hivex_value_key, name, "hivex_node_values")

    cdef size_t _named(self, size_t *found, char *(*name_of)(hive_h *, size_t) noexcept nogil, bytes name,
                       str call) except? 0:
        """The first of these nodes or values that has the name; one whose name is not UTF-16 has not."""
        cdef size_t result = 0, i = 0
        cdef char *other
        if found == NULL:
            raise hive_error(call, c.errno)
        while found[i] != 0 and result == 0:
            other = name_of(self._hive, found[i])
            if other != NULL:
                if strcasecmp(other, name) == 0:
                    result = found[i]
                free(other)
            i += 1
        free(found)
        return result

    def value_name(self, size_t value):
        """A value's name, "" for the default value. NUL inside is refused: the library would cut there."""
        c.errno = 0
        cdef char *name = hivex_value_key(self._open(), value)
        if name == NULL:
            raise hive_error("hivex_value_key", c.errno)
        if strlen(name) != hivex_value_key_len(self._hive, value):
            free(name)
            raise HiveDamaged(problem="a value's name contains NUL")
        return _text(name)

    def value_data(self, size_t value):
        """(type, bytes) of a value."""
        cdef hive_type kind = 0
        cdef size_t size = 0
        cdef char *data
        c.errno = 0
        if hivex_value_type(self._open(), value, &kind, &size) != 0:
            raise hive_error("hivex_value_type", c.errno)
        if size == 0:              # some have no cell for no bytes
            return <unsigned int> kind, b""
        data = hivex_value_value(self._hive, value, &kind, &size)
        if data == NULL:
            raise hive_error("hivex_value_value", c.errno)
        try:
            return <unsigned int> kind, data[:size]
        finally:
            free(data)

    def value_cell(self, size_t value):
        """The place of the cell with a value's data, 0 where the value itself holds it. Raises where it has neither."""
        cdef size_t size = 1
        c.errno = 0
        cdef hive_value_h cell = hivex_value_data_cell_offset(self._open(), value, &size)
        if cell == 0 and size != 0:
            raise hive_error("hivex_value_data_cell_offset", c.errno)
        return cell

    def set_value(self, size_t node, bytes name, unsigned int kind, bytes data):
        """Add a value or replace it; the key's others are written anew as they were."""
        cdef hive_set_value value
        value.key = name
        value.t = <int> kind
        value.len = len(data)
        value.value = data
        c.errno = 0
        if hivex_node_set_value(self._open(), node, &value, 0) != 0:
            raise hive_error("hivex_node_set_value", c.errno)

    def clear_values(self, size_t node):
        """Remove all values of a key."""
        c.errno = 0
        if hivex_node_set_values(self._open(), node, 0, NULL, 0) != 0:
            raise hive_error("hivex_node_set_values", c.errno)

    def add_child(self, size_t node, bytes name):
        """A new key below a key, with the security of that one."""
        c.errno = 0
        cdef hive_node_h child = hivex_node_add_child(self._open(), node, name)
        if child == 0:
            raise hive_error("hivex_node_add_child", c.errno)
        return child

    def delete(self, size_t node):
        """Remove a key and all below it, which must have been checked: the library trusts their cells."""
        c.errno = 0
        if hivex_node_delete_child(self._open(), node) != 0:
            raise hive_error("hivex_node_delete_child", c.errno)

    def commit(self, str path):
        """Write the hive to `path`."""
        cdef bytes name = os.fsencode(path)
        c.errno = 0
        if hivex_commit(self._open(), name, 0) != 0:
            raise hive_error("hivex_commit", c.errno)
