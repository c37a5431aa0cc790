r"""Mounts: which file system a folder is on, and whether inotify reports all changes there.

The text is Linux's /proc/self/mountinfo (proc(5)): one mount a line, in the order mounted, spaces
and the like in paths as `\040`. It is read elsewhere.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# File systems whose every change passes through this kernel, so that inotify reports it: those of
# local disks and of memory, and those without user files. All others may change underneath without
# an event, above all union mounts (mergerfs, overlay, unionfs) and FUSE. "fuseblk" is FUSE on a
# local disk (ntfs-3g).
LOCAL_KINDS = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "bcachefs", "zfs", "f2fs", "jfs", "nilfs2", "reiserfs"}
    | {"reiser4", "ufs", "minix", "vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk"}
    | {"hfs", "hfsplus", "apfs", "udf", "iso9660", "squashfs", "erofs", "romfs", "cramfs"}
    | {"ubifs", "jffs2", "tmpfs", "ramfs", "rootfs"}
    | {"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "mqueue", "tracefs", "debugfs"}
    | {"securityfs", "pstore", "bpf", "configfs", "hugetlbfs", "binfmt_misc", "nsfs", "fusectl"}
    | {"rpc_pipefs", "efivarfs", "autofs"}  # the last one gives way to what it mounts
)
# Of the others, those that are known to be on other machines: events are not used for these.
REMOTE_KINDS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "glusterfs", "lustre"}
    | {"gfs2", "ocfs2", "beegfs", "orangefs", "9p", "virtiofs", "vboxsf", "vmhgfs", "prl_fs"}
    | {"davfs", "curlftpfs", "acfs"}
)
REMOTE_FUSE = frozenset(
    {"sshfs", "rclone", "s3fs", "goofys", "mountpoint-s3", "gcsfuse", "blobfuse", "blobfuse2"}
    | {"glusterfs", "ceph", "ceph-fuse", "juicefs", "davfs", "davfs2", "curlftpfs", "seaweedfs"}
    | {"smbnetfs", "gvfsd-fuse", "kio-fuse", "grpcfuse", "osxfs", "vmhgfs-fuse", "moosefs"}
    | {"google-drive-ocamlfuse", "onedriver", "pcloud", "mfs", "lizardfs", "objectivefs"}
)


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system; `number` is new for each mounting while others last."""

    number: int
    point: str
    kind: str

    @property
    def is_remote(self) -> bool:
        """Return whether other machines may change it without an event here."""
        fuse, _, of = self.kind.partition(".")
        return self.kind in REMOTE_KINDS or (fuse == "fuse" and of in REMOTE_FUSE)

    @property
    def is_local(self) -> bool:
        """Return whether all its changes pass through this kernel, so that inotify reports them."""
        return self.kind in LOCAL_KINDS


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """Return the mounts in the order they were made; lines that cannot be read are left out."""
    matches = (_LINE.match(line) for line in text.split("\n"))
    return tuple(
        Mount(int(line["number"]), _ESCAPED.sub(_letter, line["point"]), line["kind"])
        for line in matches
        if line
    )


def mounts_of(path: str, mounts: Iterable[Mount]) -> tuple[Mount, ...]:
    """Return the mounts of the folder at `path`: its own first, then those below it.

    `path` is absolute, with links resolved. A mount that a later one hides counts, too; one in a
    hidden folder does not, for hidden folders are not scanned.
    """
    own: tuple[Mount, ...] = ()
    below: list[Mount] = []
    for mount in mounts:
        if _holds(mount.point, path):
            if not own or len(mount.point) >= len(own[0].point):
                own = (mount,)  # of two on one point the later is on top
        elif _holds(path, mount.point) and "/." not in mount.point[len(path.rstrip("/")) :]:
            below.append(mount)
    return (*own, *below)


_LINE = re.compile(
    r"(?P<number>\d+) \d+ \d+:\d+ \S+ (?P<point>\S+) \S+(?: \S+)*? - (?P<kind>\S+)", re.ASCII
)
_ESCAPED = re.compile(r"\\([0-7]{3})")


def _letter(escaped: re.Match[str]) -> str:
    return chr(int(escaped[1], 8))


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
