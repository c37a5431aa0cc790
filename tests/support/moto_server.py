"""moto's server, without what it does anew for each request: `python moto_server.py PORT`.

A third of a request is a listing of its own folder of modules, to find out whose address it is.
"""

import logging
import sys

from moto import backends

if __name__ == "__main__":
    modules = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: iter(modules)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    from moto.server import main

    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
