"""A worker that does what the name of the file tells it: it speaks the protocol, as long as it can.

`rogue_worker.py NOTES`: its process id, and that of a child it starts, are appended to NOTES.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from generator.core.media.worker_protocol import READY, missing, pack_answer, unpack_probe_request
from generator.core.model import Place, Rejected

LONG = "long " * 40_000  # more than a pipe holds


def main() -> None:
    waiting = [sys.executable, "-c", "import signal; signal.pause()"]
    child = subprocess.Popen(waiting, stdout=subprocess.DEVNULL)
    with Path(sys.argv[1]).open("a") as notes:
        notes.write(f"{os.getpid()}\n{child.pid}\n")
    say(READY)
    while True:
        request = unpack_probe_request(receive())
        obey(Path(request.file).name, request.place)


def obey(command: str, place: Place) -> None:
    answer = pack_answer(Rejected(place, "was looked at"))
    match command:
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            signal.pause()
        case "leave":
            os._exit(3)
        case "babble":
            say(b"Traceback (most recent call last)")
        case "confuse":
            say(pack_answer(Rejected(Place("", "another.mp4"), "was looked at")))
        case "break off":
            say(answer[:20])
            os._exit(0)
        case "chatter":
            say(answer + answer)
        case "die later":
            say(answer)
            os._exit(0)
        case "write a lot":
            say(pack_answer(Rejected(place, LONG)))
        case _:
            say(answer)


def receive() -> bytes:
    parcel = bytearray()
    while wanted := missing(parcel):
        piece = os.read(0, wanted)
        if not piece:
            os._exit(0)
        parcel += piece
    return bytes(parcel)


def say(text: bytes) -> None:
    while text:
        text = text[os.write(1, text) :]


if __name__ == "__main__":
    main()
