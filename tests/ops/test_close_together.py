"""What is deployed lies together: a disk that grows as it is filled takes no block for a gap."""

from __future__ import annotations

from pathlib import Path

from converted import Converted, fresh_volume
from index_judge import open_volume
from running import NO_PLACE, done


def test_files_lie_close_together(converted_once: Converted, tmp_path: Path) -> None:
    """All clusters of an image's files lie in a few blocks of 2 MiB, not in one for each file."""
    volume = fresh_volume(tmp_path / "deployed.img", size=4 << 30)
    done("apply", converted_once.wim, "1", volume, *NO_PLACE)
    with open_volume(volume) as view:
        clusters = {lcn + number for record in view.mft.segments(start=24) for attribute in record.attributes.DATA
                    if not attribute.header.resident
                    for lcn, count in attribute.dataruns() if lcn for number in range(count)}
    blocks = {cluster * 4096 >> 21 for cluster in clusters}
    assert len(clusters) > 300
    assert len(blocks) <= 10     # a file with many streams leaves a gap or two
