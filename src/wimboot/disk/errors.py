"""What can go wrong with a transaction, in the words a user needs."""

from __future__ import annotations

from wimboot.errors import Busy, Damaged, HostError, Refused

__all__ = ["CommitUnfinished", "LogDamaged", "LogOfOtherVersion", "LogWaits", "TargetChanged"]


class CommitUnfinished(HostError):
    """The change is decided, but could not be copied to its end."""

    id = "commit-unfinished"
    sentence = "the change of {where} was committed, but writing it to its place failed: {why}"
    advice = ("Nothing is lost: the log holds the whole change. Until it is finished the volume must not be "
              "used. Mend the cause, then run: wimboot recover {where}")


class LogDamaged(Damaged):
    """A committed log cannot be read back."""

    id = "log-damaged"
    sentence = "the log of an interrupted change of {where} is damaged, and writing the change had begun"
    advice = ("The log was kept. If {where} was put back from a backup since, delete the log. Otherwise the "
              "volume is partly changed: copy it and the log aside before anything else, then restore it "
              "from a backup.")


class LogOfOtherVersion(Refused):
    """A sound log of another version of this program: only that one knows what its index says."""

    id = "log-version"
    sentence = ("the log of an interrupted change of {where} is of version {version:d}, and this program knows "
                "version {known:d}")
    advice = ("The log was kept, {where} was not touched. Run with the version of wimboot that wrote it: wimboot "
              "recover {where}")


class LogWaits(Busy):
    """An interrupted run has to be finished or undone first."""

    id = "log-waits"
    sentence = "an interrupted change of {where} waits to be finished or undone"
    advice = "Run: wimboot recover {where}"


class TargetChanged(Refused):
    """The target is not what the log says it is."""

    id = "target-changed"
    sentence = ("{where} was changed since an interrupted run began to write it, so that run cannot be "
                "finished ({why})")
    advice = ("The log was kept, {where} was not touched. If it was put back from a backup, or is another "
              "disk, delete the log. If another system wrote to it after the interruption, restore it from "
              "a backup.")
