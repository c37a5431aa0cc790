"""`api`: the API as a server of its own, behind nginx or for this machine alone."""

import logging
import os
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from generator.adapters.settings import Settings
from generator.cli.help import SERVE
from generator.cli.options import (
    Config,
    Json,
    Verbose,
    address_named,
    app,
    open_catalogue,
    settled,
    shipped,
    show,
    start_log,
)
from generator.core.errors import SettingsError

_QUEUE = 1024  # connections that wait to be accepted
_GRACE_S = 10  # for answers that are under way when the server is stopped
_MODE = 0o666  # whoever may enter its folder may speak through a socket; it makes nobody the owner
# Two threads share Python's lock: the server's and the one that writes. With Python's 5 ms the one
# that comes back from the disk would wait longer for the lock than it waited for the disk.
_SWITCH_S = 0.0005


@app.command(rich_help_panel=SERVE)
def api(
    config: Config = None,
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8001,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    socket_file: Annotated[
        Path | None, typer.Option("--socket", help="A Unix socket to listen on instead of a port.")
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Address of a trusted proxy: its X-Forwarded-For header is believed."
            " May be given several times.",
        ),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Run the API, which records ratings, views, favorites and tags. Stop it with Ctrl-C."""
    import uvicorn  # noqa: PLC0415 (no other command needs it)

    from api_lambda.app import ApiConfig, create_app  # noqa: PLC0415 (likewise)
    from api_lambda.connection_limits import IDLE_S, limits_here, protocol_of  # noqa: PLC0415 (likewise)
    from api_lambda.owner_secrets import take_secrets  # noqa: PLC0415 (likewise)
    from api_lambda.request_log import start_json_log  # noqa: PLC0415 (likewise)

    host = address_named(host)
    if socket_file is not None and not str(socket_file).strip(". "):
        raise SettingsError("--socket is empty", hint="is a variable unset?")
    secrets = take_secrets(os.environ)  # first: they are no settings
    settings = settled(config)
    start_log(verbose=verbose, as_json=as_json)
    if settings.log_format == "json":
        start_json_log(logging.getLogger().handlers)
    if not settings.queue:
        _look_at(settings)
    api_config = ApiConfig.of(settings, secrets, shipped=shipped("templates"))
    goes_by = replace(api_config, proxies=_addresses(proxy or []))
    sys.setswitchinterval(_SWITCH_S)
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn ends, and sends it again when it has
    with _socket(socket_file) if socket_file else _port(host, port) as listening:
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(goes_by),
                http=protocol_of(limits_here()),
                timeout_keep_alive=IDLE_S,
                loop="uvloop",
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,  # the API itself says whose word it takes
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        address = _address(listening)
        show(as_json, {"address": address}, f"serving {address}  (Ctrl-C stops)")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):  # how it is meant to be stopped
            server.run(sockets=[listening])


def _addresses(told: list[str]) -> frozenset[str]:
    try:
        return frozenset(str(ip_address(one)) for one in told)
    except ValueError as error:
        raise SettingsError(f"--proxy: {error}", hint="use an IP address like 10.0.0.10") from error


def _look_at(settings: Settings) -> None:
    """Open or create what the API needs besides a catalogue, so that errors show at once."""
    from api_lambda.credentials import kept_secret  # noqa: PLC0415 (as above)

    open_catalogue(settings).close()
    kept_secret(settings.state)  # while there is room for it


@contextmanager
def _port(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=_QUEUE)
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"cannot listen on {host} port {port}: {error}",
            hint="another program may use it: choose another port, or 0 for any free one",
        ) from error
    with listening:
        yield listening


@contextmanager
def _socket(file: Path) -> Iterator[socket.socket]:
    """Yield a Unix socket at `file`, replacing one left behind by a killed server."""
    with socket.socket(socket.AF_UNIX) as listening:
        try:
            if _is_left_behind(file):
                file.unlink()
            listening.bind(str(file))
            file.chmod(_MODE)
            listening.listen(_QUEUE)
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {file}: {error.strerror or error}",
                hint="another server may use it, or it is not a socket",
            ) from error
        ours = file.stat()
        try:
            yield listening
        finally:
            with suppress(OSError):
                if os.path.samestat(ours, file.stat()):
                    file.unlink()


def _is_left_behind(file: Path) -> bool:
    if not file.exists() or not stat.S_ISSOCK(file.stat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(str(file))
        except ConnectionRefusedError:
            return True
    return False


def _address(listening: socket.socket) -> str:
    if listening.family == socket.AF_UNIX:
        return f"unix:{listening.getsockname()}"
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/api"
