"""`nginx`: print the configuration of nginx for the site."""

import json
import os
import shutil
import socket
from pathlib import Path
from typing import Annotated

import typer

from generator.cli.help import SERVE
from generator.cli.options import (
    Config,
    Json,
    Library,
    Out,
    app,
    settings_of,
    shipped,
    tell_of_buckets,
)
from generator.cli.terminal import err, write_exactly
from generator.core.delivery.nginx import config as nginx_config
from generator.core.errors import SettingsError


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
            old_addresses=settings.old_addresses,
            private=settings.private,
            origin=settings.site.origin,
            access_cache=access_cache,
        )
    except ValueError as error:
        hint = "rename the folder or fix the option"
        raise SettingsError(f"nginx cannot serve this: {error}", hint=hint) from error
    tell_of_buckets(settings)
    if as_json:
        print(json.dumps({"config": text}))  # noqa: T201 (this is the output)
    elif output is not None:
        _replace_file(output, text.rstrip() + "\n")
        err.print(f"wrote {output}; check it with `nginx -t`, then reload nginx")
    else:
        write_exactly(text.rstrip() + "\n")


def _has_ipv6() -> bool:
    """Return whether this system has IPv6 at all."""
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return False
    return True


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
