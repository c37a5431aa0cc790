r"""Mounts: which file system a folder is on, and whether it tells of all that happens there.

The text is Linux's /proc/self/mountinfo (proc(5)): one mount a line, in the order mounted, spaces
and the like in paths as `\040`. Reading it is for others.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# File systems that others change behind this kernel's back: inotify tells of what is done on this
# machine only. Of FUSE those that reach another machine are named; the rest (ntfs-3g, mergerfs,
# encfs) sees its changes pass through this kernel.
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
        """Tell whether others may change it unseen by this machine."""
        fuse, _, of = self.kind.partition(".")
        return self.kind in REMOTE_KINDS or (fuse == "fuse" and of in REMOTE_FUSE)


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """Return the mounts in the order they were made; lines that cannot be read are left out."""
    found = (_LINE.match(line) for line in text.split("\n"))
    return tuple(
        Mount(int(line["number"]), _ESCAPED.sub(_letter, line["point"]), line["kind"])
        for line in found
        if line
    )


def mounts_of(path: str, mounts: Iterable[Mount]) -> tuple[Mount, ...]:
    """Return the mounts that the folder at `path` is made of: its own first, then those below it.

    `path` is absolute and has no links in it. A mount that a later one hides counts too.
    """
    own: tuple[Mount, ...] = ()
    below: list[Mount] = []
    for mount in mounts:
        if _holds(mount.point, path):
            if not own or len(mount.point) >= len(own[0].point):
                own = (mount,)  # of two on one point the later lies on top
        elif _holds(path, mount.point):
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
