"""Packing: compressed copies of pages, a few at a time, whenever nothing else is to be done."""

from collections.abc import Callable
from contextlib import suppress

from generator.adapters import compressor
from generator.adapters.ledger import Ledger
from generator.adapters.output import COPIES, Output, digest_of
from generator.core.model import OutPath
from generator.render.owned_files import OwnedFiles

_AT_ONCE = 100


def pack_some(ledger: Ledger, output: Output, limit: int = _AT_ONCE) -> int:
    """Compress up to `limit` pages that have no compressed copies; return how many were left to do.

    Must not run while pages are written: the builder calls it between refreshes, holding its lock.
    A page whose bytes are not those the ledger knows is left alone.
    """
    waiting = ledger.unpacked(compressor.LEAST_BYTES, limit)
    output.forget_folders()  # a link may be in the place of one by now
    with ledger.transaction():
        # First the note, then the copies: a copy that nobody knows of would go stale.
        ledger.put_packed(waiting)
    compressible = [(path, d) for path, d in waiting if compressor.is_compressible(path)]
    taken = OwnedFiles(ledger, output).claim_copies([path for path, _ in compressible])
    for path, digest in compressible:
        if path not in taken:
            _pack(output, path, digest)
    return len(waiting)


def pack_all(ledger: Ledger, output: Output, progress: Callable[[int], None]) -> int:
    """Compress every page that has no compressed copies; return how many were done."""
    done = 0
    while some := pack_some(ledger, output):
        done += some
        progress(done)
    return done


def _pack(output: Output, path: OutPath, digest: bytes) -> None:
    content = output.read(path)
    if content is None or digest_of(content) != digest:
        return
    copies = compressor.compress(content)
    for ending, copy in zip(COPIES, (copies.gzip, copies.brotli), strict=True):
        with suppress(NotADirectoryError):  # a link, behind which all is another's
            output.write(OutPath(path + ending), copy, owned=True)
