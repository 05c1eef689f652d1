"""The document of `wimboot space --json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wimboot.cli.explain import rule_fields
from wimboot.formats.guid import guid_text

if TYPE_CHECKING:
    from wimboot.ops.measuring.figures import DiskFigures, Other, RealFiles, Share, Start, VolumeFigures, WimFigures
    from wimboot.ops.space import Space
    from wimboot.wim.usage import Blobs

__all__ = ["fields"]


def fields(found: Space) -> dict[str, Any]:
    """All of it; sizes are bytes."""
    return {
        "virtual_bytes": found.seen,
        "host_bytes": found.taken,
        "host_bytes_at_most": found.at_most,
        "complete": found.complete,
        "volumes": [_volume(volume) for volume in found.volumes],
        "wims": [_wim(wim) for wim in found.wims],
        "disks": [_disk(disk) for disk in found.disks],
        "others": [_other(other) for other in found.others],
    }


def _volume(volume: VolumeFigures) -> dict[str, Any]:
    system = volume.system
    return {
        "where": volume.where,
        "disk": volume.disk,
        "partition": volume.partition,
        "label": volume.label,
        "state": volume.state,
        "windows": None if system is None else {
            "product": system.product,
            "version": system.version,
            "build": system.build,
            "architecture": None if system.architecture is None else system.architecture.value,
        },
        "wimboot": bool(volume.pointers),
        "virtual_bytes": volume.seen,
        "occupied_bytes": volume.occupied,
        "used_bytes": volume.used,
        "volume_bytes": volume.size,
        "files": volume.files,
        "folders": volume.folders,
        "pointers": volume.pointers,
        "compact": volume.compact,
        "bytes_in_wim": volume.in_wim,
        "sources": [_share(share) for share in volume.shares],
        "unregistered_pointers": volume.unregistered,
        "start": None if volume.start is None else _start(volume.start),
        "real": None if volume.real is None else [_real(group) for group in volume.real],
        "problem": volume.problem or None,
    }


def _share(share: Share) -> dict[str, Any]:
    return {
        "id": share.data_source_id,
        "guid": guid_text(share.guid),
        "image": share.image,
        "place": None if share.place is None else str(share.place),
        "state": share.state.value,
        "wim": share.wim,
        "pointers": share.pointers,
        "pointed_bytes": share.seen,
        **_blobs(share.blobs, ""),
        **_blobs(share.alone, "alone_"),
        "bytes_in_wim_apart": share.apart,
        "pointers_without_data": share.missing,
        "looked_at": list(share.looked),
        "problem": share.problem or None,
    }


def _blobs(blobs: Blobs | None, prefix: str) -> dict[str, Any]:
    return {
        f"{prefix}blobs": None if blobs is None else blobs.count,
        f"{prefix}bytes": None if blobs is None else blobs.size,
        f"{prefix}bytes_in_wim": None if blobs is None else blobs.in_wim,
    }


def _start(start: Start) -> dict[str, Any]:
    return {
        "expand_on_mount": start.value,
        "expands": start.expands,
        "host_bytes": start.takes,
        "claimed_bytes": start.claims,
        "problem": start.problem or None,
    }


def _real(group: RealFiles) -> dict[str, Any]:
    return {
        "reason": None if group.reason is None else group.reason.value,
        "rule": rule_fields(group.rule),
        "files": group.files,
        "bytes": group.seen,
        "occupied_bytes": group.occupied,
        "largest": {"path": group.largest, "bytes": group.largest_size},
    }


def _wim(wim: WimFigures) -> dict[str, Any]:
    return {
        "path": wim.path,
        "guid": None if wim.guid is None else guid_text(wim.guid),
        "bytes": wim.size,
        "occupied_bytes": wim.occupied,
        "compression": wim.compression or None,
        "chunk_bytes": wim.chunk_size or None,
        "not_backable": wim.not_backable,
        "solid": wim.solid,
        "copy_of": wim.copy_of,
        "same_blobs": wim.same_blobs if wim.copy_of is not None else None,
        "volumes": list(wim.users),
        "blobs": _blobs(wim.blobs, ""),
        "unused": _blobs(wim.unused, ""),
        "named_by_volumes": _blobs(wim.named, ""),
        "saved_between_volumes_bytes_in_wim": wim.between_volumes,
        "saved_between_images_bytes_in_wim": wim.between_images,
        "images": [
            {"index": image.number, "name": image.name, **_blobs(image.blobs, ""), **_blobs(image.alone, "only_here_")}
            for image in wim.images
        ],
        "problem": wim.problem or None,
    }


def _disk(disk: DiskFigures) -> dict[str, Any]:
    return {
        "path": disk.path,
        "form": disk.form,
        "kind": disk.kind,
        "table": None if disk.table is None else disk.table.value,
        "partitions": disk.partitions,
        "bytes": disk.size,
        "occupied_bytes": disk.occupied,
        "disk_bytes": disk.disk_size,
        "full_bytes": disk.full,
        "parent": disk.parent,
        "free_bytes_beside": disk.free,
        "problem": disk.damage or None,
    }


def _other(other: Other) -> dict[str, Any]:
    return {"path": other.path, "what": other.what, "why": other.why}
