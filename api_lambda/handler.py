"""The API as a Lambda: behind an HTTP API (payload 2.0). Settings come from REELSHELF_*."""

import os
from contextlib import suppress
from dataclasses import replace

from mangum import Mangum

from api_lambda.app import ApiConfig, create_app
from api_lambda.owner_secrets import take_secrets
from generator.adapters.queues import open_queue
from generator.adapters.queues.sqs import SqsQueue
from generator.adapters.settings import load
from generator.core.errors import QueueError

secrets = take_secrets(os.environ)  # first: they are not settings
config = ApiConfig.of(load(None, {}), secrets, owner_on_loopback="never")
# every copy of a Lambda would count for itself: CloudWatch counts all
config = replace(config, monitoring=replace(config.monitoring, is_measured=False))
queue = open_queue(config.queue) if config.queue else None
if isinstance(queue, SqsQueue):
    with suppress(QueueError):  # the first write reports it
        queue.prepare()  # now: during init Lambda gives a whole CPU for free
app = create_app(config, queue)
handler = Mangum(app, lifespan="off")
