"""The API as a Lambda: behind an HTTP API (payload 2.0). Settings come from REELSHELF_*."""

from mangum import Mangum

from api_lambda.app import ApiConfig, create_app
from generator.adapters.settings import load

app = create_app(ApiConfig.of(load(None, {}), owner_on_loopback="never"))
handler = Mangum(app, lifespan="off")
