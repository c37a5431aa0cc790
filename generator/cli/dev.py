"""`dev`: serve the site while it is built on every change."""

import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from generator.adapters.settings import FILE
from generator.cli.help import START, hidden_option, renamed_flag
from generator.cli.options import (
    Adopt,
    Config,
    Folders,
    Jobs,
    Json,
    KeepOthers,
    Library,
    NewCatalogue,
    Nice,
    Out,
    Verbose,
    address_named,
    app,
    engine_of,
    settings_of,
    show,
    start_log,
    tell_of_buckets,
)
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
    keep_others: KeepOthers = False,
    adopt: Adopt = False,
    new_catalogue: NewCatalogue = False,
    jobs: Jobs = None,
    nice: Nice = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Serve the site, build it on every change, and reload open pages. Stop it with Ctrl-C."""
    host = address_named(host)
    keep_others = renamed_flag("--adopt", "--keep-others", old_value=adopt, new_value=keep_others)
    lan = renamed_flag("--phone", "--lan", old_value=phone, new_value=lan)
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
        partial(engine_of, keep_others=keep_others, new_catalogue=new_catalogue),
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
    tell_of_buckets(developing.settings)
    developing.start(server, lambda: _announce(server, as_json=as_json, lan=lan))
    try:
        with suppress(KeyboardInterrupt):  # how it is meant to be stopped
            server.run()
    finally:
        developing.stop()


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
