"""The rows of `codes`: family, number, name, when it is seen, what to do."""

from __future__ import annotations

from typing import Final

__all__ = ["ROWS"]

ROWS: Final[tuple[tuple[str, int, str, str, str], ...]] = (
    ("NTSTATUS", 0xC000_046D, "STATUS_OBJECT_NOT_EXTERNALLY_BACKED",
     "A program asked where a file's data lies, and the file is an ordinary one.",
     "Nothing: the file is real."),
    ("NTSTATUS", 0xC000_046E, "STATUS_EXTERNAL_BACKING_PROVIDER_UNKNOWN",
     ("A pointer was read while its WIM could not be reached: the WIM is not where WimOverlay.dat says, "
      "the disk has another signature, or the running system has no overlay driver. The old assistant met "
      "it when it captured a WIMBoot volume in a PE without that driver."),
     ("`wimboot info TARGET` shows where the WIM should be, where it was found, and whether it was moved, replaced, is "
      "older or missing; `wimboot relocate` writes its new place. Reading, capturing and converting with wimboot needs "
      "no driver: give it the WIM with --wim, or a folder to look in with --search.")),
    ("NTSTATUS", 0xC000_046F, "STATUS_COMPRESSION_NOT_BENEFICIAL",
     "Compact OS found that a file does not get smaller.",
     "Nothing: the file stays as it is."),
    ("NTSTATUS", 0xC000_A2A5, "STATUS_WOF_WIM_HEADER_CORRUPT",
     ("The driver found a WIM at the place, but its header is not usable, or its GUID is not the "
      "registered one: another WIM lies there, or it was exported anew, or it is solid (ESD) or pipable."),
     ("`wimboot verify TARGET` compares the GUIDs. Put the right WIM back, or relink the volume to the "
      "new one.")),
    ("NTSTATUS", 0xC000_A2A6, "STATUS_WOF_WIM_RESOURCE_TABLE_CORRUPT",
     "The WIM's blob table lies outside of the file: the WIM was cut short or not copied whole.",
     "`wimboot verify --wim WIM`; take a good copy of the WIM."),
    ("NTSTATUS", 0xC000_A2A7, "STATUS_WOF_FILE_RESOURCE_TABLE_CORRUPT",
     "The compressed stream of a Compact OS file is damaged.",
     "Restore that file; check the disk."),
    ("NTSTATUS", 0xC000_0225, "STATUS_NOT_FOUND",
     ("For a pointer: its data, or its table's hash, is not in the WIM, because the WIM was changed under "
      "it. In the boot manager: an entry of the boot store names something that does not exist."),
     "`wimboot verify TARGET --repair` relinks pointers by hash. For the boot manager: `wimboot boot`."),
    ("NTSTATUS", 0xC000_025F, "STATUS_UNSUPPORTED_COMPRESSION",
     "The WIM is compressed in a way that the driver does not read: LZMS, or not at all.",
     "Export the images into a WIM with XPRESS or LZX; `wimboot convert` and `apply` do it."),
    ("NTSTATUS", 0xC000_00BB, "STATUS_NOT_SUPPORTED",
     ("The WIM is split, or holds only metadata or only resources; or no overlay driver is attached to "
      "the volume."),
     "Join the parts into one WIM; on Windows 7 and 8 put the driver in with `wimboot driver`."),
    ("NTSTATUS", 0xC000_02C4, "STATUS_SYSTEM_FILE_CORRUPT",
     "WimOverlay.dat breaks a rule of its format; the driver then resolves no pointer of the volume.",
     "`wimboot info TARGET` names the rule; WimOverlay.backup beside it usually holds the same table."),
    ("NTSTATUS", 0xC000_0427, "STATUS_FILE_SYSTEM_LIMITATION",
     "WimOverlay.dat would hold over 256 data sources or over 2 MiB.",
     "Remove sources that no pointer uses; `wimboot info TARGET` counts the pointers of each."),
    ("NTSTATUS", 0xC000_000E, "STATUS_NO_SUCH_DEVICE",
     ("The boot manager does not find the disk or partition that its entry names, or two disks have one "
      "signature."),
     ("`wimboot boot TARGET --to SYSTEM_PARTITION` writes the entries anew; never attach a clone beside "
      "its original.")),
    ("NTSTATUS", 0xC000_000F, "STATUS_NO_SUCH_FILE",
     ("The boot manager found the partition, but not the loader or the boot store on it; they must be "
      "real files."),
     ("`wimboot verify TARGET` shows which boot files are pointers or missing; `wimboot boot` writes "
      "them.")),
    ("NTSTATUS", 0xC000_0428, "STATUS_INVALID_IMAGE_HASH",
     ("A boot driver's signature is not accepted: wofadk.sys has one of SHA-2, which Windows 7 knows "
      "since KB3033929."),
     "Install that update before converting, or use a driver that this Windows accepts."),
    ("STOP", 0x7B, "INACCESSIBLE_BOOT_DEVICE",
     ("Windows started and lost its disk: a storage driver is missing, or its files could not be read "
      "through pointers."),
     ("`wimboot explain TARGET PATH` of the boot drivers must say that they are real; see `wimboot "
      "driver`.")),
    ("WIN32", 342, "ERROR_OBJECT_NOT_EXTERNALLY_BACKED",
     "The Win32 form of 0xC000046D: the file is an ordinary one.",
     "Nothing: the file is real."),
    ("WIN32", 343, "ERROR_EXTERNAL_BACKING_PROVIDER_UNKNOWN",
     "The Win32 form of 0xC000046E: the WIM of a pointer could not be reached.",
     "See `wimboot explain c000046e`."),
    ("WIN32", 344, "ERROR_COMPRESSION_NOT_BENEFICIAL",
     "The Win32 form of 0xC000046F: compressing the file would save nothing.",
     "Nothing: the file stays as it is."),
    ("WIN32", 4446, "ERROR_WOF_WIM_HEADER_CORRUPT",
     "Perhaps the Win32 form of 0xC000A2A5: the WIM at the place is unusable or another one.",
     "See `wimboot explain c000a2a5`."),
    ("WIN32", 4447, "ERROR_WOF_WIM_RESOURCE_TABLE_CORRUPT",
     "Perhaps the Win32 form of 0xC000A2A6: the WIM was cut short.",
     "See `wimboot explain c000a2a6`."),
    ("WIN32", 4448, "ERROR_WOF_FILE_RESOURCE_TABLE_CORRUPT",
     "Perhaps the Win32 form of 0xC000A2A7: a Compact OS file is damaged.",
     "See `wimboot explain c000a2a7`."),
    ("WIN32", 1, "ERROR_INVALID_FUNCTION",
     "A pointer was to be set by Windows, and no overlay driver is attached to that volume.",
     ("With wimboot no driver is needed while converting; Windows 7 and 8 need one to start (`wimboot "
      "driver`).")),
    ("WIN32", 50, "ERROR_NOT_SUPPORTED",
     "A pointer was to be set or read by Windows, and no overlay driver is attached to that volume.",
     ("With wimboot no driver is needed while converting; Windows 7 and 8 need one to start (`wimboot "
      "driver`).")),
    ("WIN32", 1314, "ERROR_PRIVILEGE_NOT_HELD",
     ("Windows refused to set a pointer (FSCTL_SET_EXTERNAL_BACKING), although an administrator asked. "
      "The old assistant needed SYSTEM rights or a freshly formatted volume."),
     ("Does not happen here: wimboot writes pointers into the volume itself and needs no Windows "
      "privilege.")),
    ("WIMLIB", 2, "WIMLIB_ERR_DECOMPRESSION",
     "Compressed data of the WIM is damaged.",
     "`wimboot verify --wim WIM`; take a good copy."),
    ("WIMLIB", 13, "WIMLIB_ERR_INTEGRITY",
     "The WIM differs from its own integrity table.",
     "Take a good copy of the WIM; do not append to this one."),
    ("WIMLIB", 14, "WIMLIB_ERR_INVALID_CAPTURE_CONFIG",
     ("A capture list has a line that is not allowed: a relative pattern of several components, or text "
      "behind a pattern."),
     "Begin the pattern with a backslash and put comments on lines of their own."),
    ("WIMLIB", 17, "WIMLIB_ERR_INVALID_HEADER",
     "The WIM's header is damaged, or the file is no WIM.",
     "Take a good copy of the WIM."),
    ("WIMLIB", 28, "WIMLIB_ERR_INVALID_RESOURCE_HASH",
     "Data in the WIM does not have the SHA-1 that it should have.",
     "`wimboot verify TARGET` names the files; `--repair` takes their data from a spare copy."),
    ("WIMLIB", 43, "WIMLIB_ERR_NOT_A_WIM_FILE",
     "The file does not begin as a WIM does.",
     "Check the path."),
    ("WIMLIB", 46, "WIMLIB_ERR_NTFS_3G",
     "libntfs-3g could not open or change an NTFS volume.",
     "Unmount it and shut Windows down fully; `wimboot info TARGET` says what is wrong with it."),
    ("WIMLIB", 50, "WIMLIB_ERR_READ",
     ("Data of a file could not be read; with status c000046e it was a pointer whose WIM was out of "
      "reach."),
     "wimboot reads through pointers: give it the WIM with --wim."),
    ("WIMLIB", 55, "WIMLIB_ERR_RESOURCE_NOT_FOUND",
     "The WIM does not hold data that an image of it names.",
     "For a delta or split WIM give all of its parts; else take a good copy."),
    ("WIMLIB", 65, "WIMLIB_ERR_UNEXPECTED_END_OF_FILE",
     "The WIM, or a file being captured, ended too early.",
     "Take a good copy of the WIM; capture from a volume that is not running."),
    ("WIMLIB", 68, "WIMLIB_ERR_UNSUPPORTED",
     ("wimlib cannot do it on this system: among others `apply --wimboot` anywhere but on Windows, or a "
      "WimOverlay.dat that it does not expect."),
     "`wimboot apply` writes pointers from Linux."),
    ("WIMLIB", 72, "WIMLIB_ERR_WRITE",
     "Writing failed, mostly because the disk is full.",
     "Make room."),
    ("WIMLIB", 75, "WIMLIB_ERR_WIMBOOT",
     "A pointer could not be set; the old assistant's error 1314 ended so.",
     "Does not happen here: wimboot writes pointers into the volume itself."),
    ("GRUB4DOS", 13, "Invalid or unsupported executable format",
     "grub4dos got zeros where the boot files should be: they are pointers.",
     ("Keep \\bootmgr, \\Boot and the loader real: the built-in list does. `wimboot explain TARGET PATH` "
      "tells.")),
    ("GRUB4DOS", 63, "A partition entry without valid CHS",
     ("grub4dos 0.4.6a refuses to map a disk image whose partition table has no cylinder, head and sector "
      "numbers."),
     "Make the disk with `wimboot create`, which writes them."),
    ("OURS", 0, "done",
     "Everything asked for was done.",
     "Nothing is left to do."),
    ("OURS", 1, "failed",
     "The operation failed; the message said what, where and why.",
     "Follow the message."),
    ("OURS", 2, "usage",
     "The command was not a possible one.",
     "See `wimboot VERB --help`."),
    ("OURS", 3, "problems",
     "A check ran to its end and found problems.",
     "They were listed one by one."),
    ("OURS", 4, "refused",
     "Not safe, or not confirmed, so nothing was changed.",
     "The message names the option that overrides, if any."),
    ("OURS", 130, "interrupted",
     "Ctrl-C; volume and WIM are as they were.",
     "Run it again."),
    ("OURS", 141, "nobody reads",
     "What read the output ended before all of it was written, as `head` does.",
     "Let it read to the end, or write to a file; --quiet where the output is not wanted."),
)
