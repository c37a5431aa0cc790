import pytest

from generator.core.library.mounts import Mount, mounts_of, parse_mounts

TEXT = r"""27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 27 0:21 / /proc rw,relatime - proc proc rw
40 27 0:50 / /srv/my\040films rw,relatime shared:7 master:2 - nfs4 box:/films rw,vers=4.2
41 27 8:1 / /srv/usb rw - fuseblk /dev/sda1 rw
a line that is none
44 27 0:52 / /srv/.cache/doc rw - fuse.portal portal rw
42 41 0:51 / /srv/usb/back\134slash rw - fuse.sshfs me@box: rw
43 27 8:2 / /srv/usb rw - ext4 /dev/sdb1 rw
"""
MOUNTS = parse_mounts(TEXT)


def test_mounts_are_read_with_their_spaces_and_backslashes() -> None:
    assert [(mount.number, mount.point, mount.kind) for mount in MOUNTS] == [
        (27, "/", "ext4"),
        (22, "/proc", "proc"),
        (40, "/srv/my films", "nfs4"),
        (41, "/srv/usb", "fuseblk"),
        (44, "/srv/.cache/doc", "fuse.portal"),
        (42, "/srv/usb/back\\slash", "fuse.sshfs"),
        (43, "/srv/usb", "ext4"),
    ]


@pytest.mark.parametrize(
    ("path", "numbers"),
    [
        ("/home/films", [27]),
        ("/srv/my films", [40]),
        ("/srv/my films/old", [40]),
        ("/srv/my films 2", [27]),
        ("/srv/usb/x", [43]),
        ("/srv/usb", [43, 42]),
        ("/srv/usb/back\\slash/x", [42]),
        ("/", [27, 22, 40, 41, 42, 43]),
        ("/srv", [27, 40, 41, 42, 43]),  # no library is read in hidden folders
        ("/srv/.cache", [27, 44]),
        ("/srv/.cache/doc/x", [44]),
    ],
)
def test_a_folder_is_made_of_the_mount_it_is_on_and_those_below(
    path: str, numbers: list[int]
) -> None:
    assert [mount.number for mount in mounts_of(path, MOUNTS)] == numbers


def test_where_nothing_is_known_of_mounts_there_are_none() -> None:
    assert mounts_of("/srv", parse_mounts("")) == ()


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        ("nfs4", True),
        ("cifs", True),
        ("smb3", True),
        ("9p", True),
        ("fuse.sshfs", True),
        ("fuse.rclone", True),
        ("fuse.glusterfs", True),
        ("vboxsf", True),
        ("ext4", False),
        ("btrfs", False),
        ("fuseblk", False),
        ("fuse.mergerfs", False),
        ("sshfs", False),
        ("tmpfs", False),
    ],
)
def test_file_systems_of_other_machines_are_known_by_name(kind: str, *, remote: bool) -> None:
    assert Mount(1, "/srv", kind).is_remote is remote


LOCAL = (
    "ext2 ext3 ext4 xfs btrfs zfs bcachefs f2fs vfat exfat ntfs3 fuseblk hfsplus udf iso9660 tmpfs"
)
DOUBTFUL = (
    "fuse.mergerfs mergerfs fuse.unionfs-fuse unionfs aufs overlay fuse-overlayfs fuse.shfs shfs"
    " fuse.bindfs fuse.rar2fs fuse.encfs fuse.gocryptfs ecryptfs fakeowner drvfs 9p virtiofs v9fs"
    " nfs nfs4 cifs smb3 fuse.sshfs fuse.rclone fuse vboxsf fuse.grpcfuse ceph something-new"
)


@pytest.mark.parametrize("kind", LOCAL.split())
def test_what_lies_on_disks_of_this_machine_is_believed(kind: str) -> None:
    mount = Mount(1, "/srv", kind)

    assert mount.is_local
    assert not mount.is_remote


@pytest.mark.parametrize("kind", DOUBTFUL.split())
def test_what_may_change_beneath_is_not_believed(kind: str) -> None:
    assert not Mount(1, "/srv", kind).is_local
