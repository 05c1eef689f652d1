"""The whole of an NTFS volume as a Tree, read from its bytes in one pass over $MFT. Nothing is written.

Left out is what belongs to the volume itself: records below 24 but the root, and all below $Extend. Files in extension
records, reparse data outside of records, security descriptors by id and in the old attribute are all followed. A volume
whose file table is not sound is refused with DamagedVolume, which tells the first few errors and their number.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t

from wimboot.errors import FormatError
from wimboot.ntfs.facts import VolumeFacts, cluster_bitmap, volume_facts
from wimboot.ntfs.metafile import BITMAP, DATA, MFT_RECORD, SECURE_RECORD, Metafiles
from wimboot.ntfs.objectids import birth_ids
from wimboot.ntfs.problems import PROBLEMS, DamagedVolume, VolumeTooLarge
from wimboot.tree._tree import Extra

from wimboot.ntfs._folders cimport place_links
from wimboot.ntfs._late cimport finish_waiting, node_of, value_bytes
from wimboot.ntfs._problems cimport BAD_VALUE
from wimboot.ntfs._records cimport Pass
from wimboot.ntfs._rows cimport Fault, Value
from wimboot.ntfs._securities cimport Securities
from wimboot.storage._device cimport Device
from wimboot.tree._tree cimport Tree, fold_table

__all__ = ["DamagedVolume", "VolumeFacts", "VolumeTooLarge", "cluster_bitmap", "scan", "volume_facts"]

cdef enum:
    OBJECT_ID = 0x4         # attribute types, shifted right by 4
    SECURITY = 0x5
    EXTENDED = 0xE
    LARGEST_SECURITIES = 512 << 20
    LARGEST_MFT_BITMAP = 512 << 20
    LARGEST_VALUE = 128 << 10       # both $EA and a descriptor are at most 64 KiB


cdef _attach_values(Pass done, list descriptors, files):
    """Object ids and EAs to Tree.extras, $SECURITY_DESCRIPTOR attributes to `descriptors`."""
    cdef dict known = None, extras = {}, births = None
    cdef uint64_t i, size = 0
    cdef uint32_t first = 0
    cdef int32_t index = -1
    cdef int node
    cdef const Value *value
    for i in range(done.values.count):
        value = <Value *> done.values.rows + i
        node = node_of(done, value.record, value.sequence)
        if node < 0 or value.kind not in (OBJECT_ID, SECURITY, EXTENDED):
            continue
        if value.kind == SECURITY:
            if done.tree.nodes[node].security >= 0:
                continue
            if index < 0 or not value.resident or value.first != first or value.size != size:
                data = value_bytes(done, value, LARGEST_VALUE)
                if known is None:
                    known = {descriptor: k for k, descriptor in enumerate(descriptors)}
                index = known.setdefault(data, len(descriptors))
                if index == len(descriptors):
                    descriptors.append(data)
                first = value.first if value.resident else 0
                size = value.size if value.resident else 0
            done.tree.nodes[node].security = index
            continue
        data = value_bytes(done, value, LARGEST_VALUE)
        place = 0 if value.kind == OBJECT_ID else 1
        if place == 0:
            if births is None:
                births = birth_ids(files, done.object_ids) if done.object_ids else {}
            if data is not None:
                data += births.get(data, b"")
        pair = extras.setdefault(node, [b"", b""])
        if pair[place] or not data:
            done.fault(value.record, BAD_VALUE)
        pair[place] = data
    for node, pair in extras.items():
        done.tree.nodes[node].extra = <int32_t> len(done.tree.extras)
        done.tree.extras.append(Extra(pair[0], pair[1]))


cdef _keep_used(Tree tree, list descriptors):
    """Tree.securities gets the descriptors that a node has, each once."""
    cdef list places = [-1] * len(descriptors)
    cdef dict known = {}
    cdef uint32_t node
    cdef int32_t old, last = -1, place = -1
    for node in range(tree.node_count):
        old = tree.nodes[node].security
        if old < 0:
            continue
        if old != last:
            last = old
            if places[old] < 0:
                places[old] = known.setdefault(descriptors[old], len(tree.securities))
                if places[old] == len(tree.securities):
                    tree.securities.append(descriptors[old])
            place = places[old]
        tree.nodes[node].security = place


cdef _refuse_faults(Pass done):
    cdef list told = []
    cdef uint64_t i
    if not done.fault_count:
        return
    for i in range(done.faults.count):
        told.append(((<Fault *> done.faults.rows)[i].record, PROBLEMS[(<Fault *> done.faults.rows)[i].problem]))
    raise DamagedVolume(count=done.fault_count, record=told[0][0], problem=told[0][1], problems=tuple(told))


def scan(Device device):
    """The Tree of the volume on `device`. Raises FormatError, DamagedVolume, VolumeTooLarge, HostError."""
    files = Metafiles(device)
    if files.record_count > 0xFFFFFFF0:
        raise VolumeTooLarge(records=files.record_count)
    bitmap = files.attribute(MFT_RECORD, BITMAP)
    sds = files.attribute(SECURE_RECORD, DATA, "$SDS".encode("utf-16-le"))
    if bitmap is None or bitmap.size < -(-files.record_count // 8):
        raise FormatError("$MFT", 0, "its bitmap does not cover it")
    cdef Tree tree = Tree()
    cdef Securities securities
    cdef Pass done
    tree.cluster_size = files.boot.cluster_size
    fold_table()
    try:
        securities = Securities(b"" if sds is None else files.content(sds, LARGEST_SECURITIES))
        done = Pass(tree, securities, files.record_count, files.boot.total_clusters, device, files.boot, files.mft.runs,
                    files.content(bitmap, LARGEST_MFT_BITMAP))
        done.run()
        if not done.have_root or done.slots[5] != 1:
            _refuse_faults(done)
            raise FormatError("$MFT", 5, "the root folder is missing")
        finish_waiting(done)
        _attach_values(done, securities.descriptors, files)
        place_links(done)
    except MemoryError as error:
        raise VolumeTooLarge(records=files.record_count) from error
    _refuse_faults(done)
    _keep_used(tree, securities.descriptors)
    return tree
