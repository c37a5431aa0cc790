"""A program: a builder without a disk that runs again and again, and dies now and then.

`builder_runs.py FOLDER QUEUE STATE_BUCKET BUCKET LEASE_S SEED DEATHS STOP`: runs until
the file STOP is there; with a chance of DEATHS at each step it ends at once, as if killed, and
another one begins. Where each died is a line of the standard error. At the steps `SURELY` it dies
once, whatever chance says.
"""

import os
import random
import sys
import time
import traceback
from pathlib import Path

from fresh_schemas import copy_schemas

from generator.adapters.queues import open_queue
from generator.adapters.s3 import session
from generator.adapters.s3.bucket import Bucket
from generator.adapters.settings import Settings
from generator.builder_lambda import BuilderLambda, LambdaRun
from generator.cli.options import shipped
from generator.core.errors import ReelshelfError

DIED, DIED_SURELY = 7, 8
PAUSE_S = 0.1
SURELY = ("recorded", "refreshed")


def settings_of(folder: Path, queue: str, state_bucket: str, bucket: str) -> Settings:
    return Settings(
        out=folder / "out",
        state=folder / "state",
        title="A trial library",
        site_url="https://videos.example.org",
        queue=queue,
        state_bucket=state_bucket,
        bucket=bucket,
        publish_media=False,
        delete_grace_s=0,
    )


def builder_of(settings: Settings, lease_s: float = 960.0) -> BuilderLambda:
    state = Bucket(settings.state_bucket)
    queue = open_queue(settings.queue)
    return BuilderLambda(settings, shipped("templates"), queue, state, lease_s=lease_s)


def run_or_rest(builder: BuilderLambda) -> LambdaRun:
    """Run once; pause where nothing could be done, as what others hold comes back in seconds."""
    run = builder.run()
    if run.state != "built":
        time.sleep(PAUSE_S)
    return run


def main() -> None:
    folder, queue, state_bucket, bucket, lease_s, seed, deaths, stop = sys.argv[1:]
    settings = settings_of(Path(folder), queue, state_bucket, bucket)
    copy_schemas()
    surely = list(SURELY)
    numbers, stopped = random.Random(int(seed)), Path(stop)
    for service in ("s3", "sqs"):  # what is read of boto3's descriptions is read once
        session.session().client(service).close()
    while not stopped.exists():  # a life is a fork: to import all of it takes a second
        life = os.fork()
        if not life:
            live(builder_of(settings, float(lease_s)), numbers, float(deaths), surely[:1], stopped)
            os._exit(0)
        _, status = os.waitpid(life, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == DIED_SURELY:
            del surely[0]
        elif code not in {0, DIED}:
            sys.exit(code)
        numbers.random()


def live(
    builder: BuilderLambda, chance: random.Random, deaths: float, surely: list[str], stopped: Path
) -> None:
    """Run again and again until stopped, or dead."""

    def die_maybe(step: str) -> None:
        by_chance = chance.random() < deaths
        if by_chance or step in surely:
            sys.stderr.write(f"{step}\n")
            sys.stderr.flush()
            os._exit(DIED_SURELY if step in surely else DIED)

    builder.on_step = die_maybe
    try:
        while not stopped.exists():
            try:
                run_or_rest(builder)
            except ReelshelfError as error:
                sys.stderr.write(f"{error}\n")
    except BaseException:  # noqa: BLE001 (a fork ends here, whatever happens)
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    main()
