import pytest

from generator.core.mounts import Mount, mounts_of, parse_mounts

TEXT = r"""27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 27 0:21 / /proc rw,relatime - proc proc rw
40 27 0:50 / /srv/my\040films rw,relatime shared:7 master:2 - nfs4 box:/films rw,vers=4.2
41 27 8:1 / /srv/usb rw - fuseblk /dev/sda1 rw
a line that is none
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
