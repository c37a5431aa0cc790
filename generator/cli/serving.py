"""`dev` and `nginx`: how the site is served."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer

from generator.cli.shared import (
    Config,
    Json,
    Library,
    Out,
    Verbose,
    app,
    settings_of,
    shipped,
    show,
    start_log,
    tell_line,
    watching_on,
)
from generator.core.errors import ReelshelfError, SettingsError
from generator.core.nginx import config as nginx_config
from generator.devserver import DevServer
from generator.engine import Engine


@app.command()
def dev(
    library: Library = None,
    out_folder: Out = None,
    config: Config = None,
    port: Annotated[int, typer.Option(help="The port to serve at.")] = 8000,
    host: Annotated[str, typer.Option(help="The address to serve at.")] = "127.0.0.1",
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Serve the site, rebuild it on every change, and reload open pages. Stop it with Ctrl-C."""
    settings = settings_of(config, library, out_folder)
    start_log(verbose=verbose, as_json=as_json)
    from threading import Thread  # noqa: PLC0415 (only here is there a second thread)

    server = DevServer(
        settings.out,
        settings.roots,
        base=settings.site.base,
        host=host,
        port=port,
        follow_links=settings.follow_links,
    )
    server.start()

    def build_on() -> None:
        try:
            with (
                Engine(settings, shipped("templates")) as engine,
                watching_on(engine, settings) as watching,
            ):
                stopping.append(watching.stop)
                for number, receipt in enumerate(watching.receipts()):
                    tell_line(receipt, as_json=as_json)
                    if not number:
                        show(
                            as_json,
                            {"address": server.address},
                            f"serving {server.address}  (Ctrl-C stops)",
                        )
                    elif receipt.written or receipt.removed:
                        server.reload()
        except ReelshelfError as error:
            failed.append(error)
        finally:
            server.stop()

    stopping: list[Callable[[], None]] = []
    failed: list[ReelshelfError] = []
    builder = Thread(target=build_on, name="build")
    builder.start()
    try:
        with suppress(KeyboardInterrupt):  # how it is meant to be stopped
            server.run()
    finally:
        for stop in stopping:
            stop()
        builder.join()
    if failed:
        raise failed[0]


@app.command()
def nginx(
    library: Library = None,
    out_folder: Out = None,
    config: Config = None,
    listen: Annotated[str, typer.Option(help="What nginx's `listen` takes.")] = "80",
    server_name: Annotated[str, typer.Option(help="What nginx's `server_name` takes.")] = "_",
    brotli: Annotated[
        bool, typer.Option("--brotli", help="Send .br copies (nginx needs its module).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print an nginx configuration that serves the site and its media."""
    settings = settings_of(config, library, out_folder)
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
        )
    except ValueError as error:
        hint = "rename the folder, or mend what was given"
        raise SettingsError(f"nginx cannot serve this: {error}", hint=hint) from error
    print(json.dumps({"config": text}) if as_json else text.rstrip())  # noqa: T201 (to the letter)
