"""`dev` and `nginx`: how the site is served."""

import json
import os
import shutil
import socket
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from generator.adapters.settings import FILE, Settings
from generator.cli.help import SERVE, START, hidden_option, warn_renamed
from generator.cli.options import (
    Adopt,
    Config,
    Folders,
    Jobs,
    Json,
    Library,
    NewCatalogue,
    Nice,
    Out,
    Verbose,
    address_named,
    app,
    engine_of,
    settings_of,
    shipped,
    show,
    start_log,
)
from generator.cli.terminal import err, write_exactly
from generator.core.delivery.nginx import config as nginx_config
from generator.core.errors import SettingsError
from generator.devserver import DevServer, network_address, own_names

_HERE = "127.0.0.1"
_EVERYWHERE = "0.0.0.0"  # noqa: S104 (asked for by --lan)


@app.command(rich_help_panel=START)
def dev(
    folders: Folders = None,
    library: Library = None,
    out_folder: Out = None,
    config: Config = None,
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = _HERE,
    lan: Annotated[
        bool, typer.Option("--lan", help="Serve other devices on the local network, too.")
    ] = False,
    phone: Annotated[bool, hidden_option("--phone")] = False,
    adopt: Adopt = False,
    new_catalogue: NewCatalogue = False,
    jobs: Jobs = None,
    nice: Nice = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Serve the site, rebuild it on every change, and reload open pages. Stop it with Ctrl-C."""
    host = address_named(host)
    if phone:
        warn_renamed("--phone", "--lan")
        lan = True
    if lan and host != _HERE:
        raise SettingsError(
            f"--host {host} and --lan cannot be combined",
            hint="use either --host or --lan",
        )
    from generator.cli.dev_session import DevSession  # noqa: PLC0415 (the API takes a while)

    developing = DevSession(
        lambda: settings_of(
            config, [*(library or ()), *(folders or ())], out_folder, jobs=jobs, nice=nice
        ),
        partial(engine_of, adopt=adopt, new_catalogue=new_catalogue),
        config or Path(FILE),
        as_json=as_json,
    )
    start_log(verbose=verbose, as_json=as_json)
    server = DevServer(
        developing.site,
        host=_EVERYWHERE if lan else host,
        port=port,
        names=own_names() | {host.lower()},
    )
    server.start()
    _tell_of_buckets(developing.settings)
    developing.start(server, lambda: _announce(server, as_json=as_json, lan=lan))
    try:
        with suppress(KeyboardInterrupt):  # how it is meant to be stopped
            server.run()
    finally:
        developing.stop()


def _has_ipv6() -> bool:
    """Return whether this system has IPv6 at all."""
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return False
    return True


def _tell_of_buckets(settings: Settings) -> None:
    """Say that films in buckets are not served: a player would tell no more than that."""
    for root in settings.buckets.values():
        err.print(f"note: the videos in {root} are not served from here; a CDN has to serve them")


def _announce(server: DevServer, *, as_json: bool, lan: bool) -> None:
    """Print where the site is."""
    answer = {"address": server.address}
    text = f"serving {server.address}  (Ctrl-C stops)"
    if lan:
        address = network_address()
        if address is not None:
            answer["network"] = server.address_at(address)
        text += f"\nlocal network: {answer.get('network', 'no network was found')}"
    show(as_json, answer, text)
    sys.stdout.flush()  # whoever reads it through a pipe waits for this line


@app.command(rich_help_panel=SERVE)
def nginx(
    library: Library = None,
    out_folder: Out = None,
    config: Config = None,
    listen: Annotated[str, typer.Option(help="The value of nginx's `listen`.")] = "80",
    server_name: Annotated[str, typer.Option(help="The value of nginx's `server_name`.")] = "_",
    brotli: Annotated[
        bool, typer.Option("--brotli", help="Serve the .br copies (nginx needs its Brotli module).")
    ] = False,
    api: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Where `reelshelf api` listens: a port, or unix:/path/of/its/socket.",
        ),
    ] = "",
    access_cache: Annotated[
        str,
        typer.Option(
            metavar="DIR",
            help="With `private`: where nginx keeps for seconds who may see the site.",
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Write it to a file; if anything is wrong, the file stays as it is.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print an nginx configuration that serves the site and its media."""
    settings = settings_of(config, library, out_folder)
    if settings.private and not api:
        raise SettingsError(
            "a private site needs the API, which knows who may see it",
            hint="say where `reelshelf api` listens: --api 8001",
        )
    template = (shipped("deploy") / "nginx.conf").read_text(encoding="utf-8")
    try:
        text = nginx_config(
            template,
            out=str(settings.out),
            roots={name: str(path) for name, path in settings.roots.items()},
            listen=listen,
            server_name=server_name,
            base=settings.site.base,
            brotli=brotli,
            follow_links=settings.follow_links,
            ignore=settings.ignore,
            api=api,
            ipv6=_has_ipv6(),
            private=settings.private,
            origin=settings.site.origin,
            access_cache=access_cache,
        )
    except ValueError as error:
        hint = "rename the folder or fix the option"
        raise SettingsError(f"nginx cannot serve this: {error}", hint=hint) from error
    _tell_of_buckets(settings)
    if as_json:
        print(json.dumps({"config": text}))  # noqa: T201 (this is the output)
    elif output is not None:
        _replace_file(output, text.rstrip() + "\n")
        err.print(f"wrote {output}; check it with `nginx -t`, then reload nginx")
    else:
        write_exactly(text.rstrip() + "\n")


def _replace_file(file: Path, text: str) -> None:
    """Write a file, or leave it as it is.

    Raises:
        SettingsError: it cannot be written.
    """
    target = file.resolve()  # behind a link
    scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("x", encoding="utf-8") as content:  # never a file that is there
            try:
                content.write(text)
                content.flush()
                if target.exists():
                    shutil.copymode(target, scratch)
                scratch.replace(target)
            except OSError:
                scratch.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise SettingsError(
            f"cannot write {file}: {error.strerror}", hint="it is as it was; choose another file"
        ) from error
