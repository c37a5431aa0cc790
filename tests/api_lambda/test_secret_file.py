"""The file that cookies are signed with, where something else is in its place."""

import os
import socket
from pathlib import Path

import pytest

from api_lambda.credentials import kept_secret
from generator.core.errors import SettingsError


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "folder", "socket"])
def test_what_is_no_file_in_its_place_is_told_and_does_not_block(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    file = Path("api-secret")
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "link to a pipe":
            os.mkfifo("elsewhere")
            file.symlink_to("elsewhere")
        case "folder":
            file.mkdir()
        case _:
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(file))

    with pytest.raises(SettingsError) as failure:
        kept_secret(Path())

    assert failure.value.hint
    assert file.exists()
