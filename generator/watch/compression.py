"""Precompression: compressed copies of pages, a few at a time, when the builder is idle."""

from collections.abc import Callable
from contextlib import suppress

from generator.adapters import compressor
from generator.adapters.ledger import Ledger
from generator.adapters.output import COPIES, Output, digest_of
from generator.core.model import OutPath
from generator.render.owned_files import OwnedFiles

_AT_ONCE = 100


def compress_some(ledger: Ledger, output: Output, limit: int = _AT_ONCE) -> int:
    """Compress up to `limit` pages that have no compressed copies; return how many were due.

    Must not run while pages are written: the builder calls it between builds, holding its lock.
    A page whose bytes differ from the ledger is skipped.
    """
    waiting = ledger.uncompressed(compressor.MIN_BYTES, limit)
    output.forget_folders()  # a symlink may have replaced one by now
    with ledger.transaction():
        # Record first, then copy: an unrecorded copy would go stale.
        ledger.put_compressed(waiting)
    compressible = [(path, d) for path, d in waiting if compressor.is_compressible(path)]
    taken = OwnedFiles(ledger, output).claim_copies([path for path, _ in compressible])
    for path, digest in compressible:
        if path not in taken:
            _compress(output, path, digest)
    return len(waiting)


def compress_all(ledger: Ledger, output: Output, progress: Callable[[int], None]) -> int:
    """Compress every page that has no compressed copies; return how many were done."""
    done = 0
    while count := compress_some(ledger, output):
        done += count
        progress(done)
    return done


def _compress(output: Output, path: OutPath, digest: bytes) -> None:
    content = output.read(path)
    if content is None or digest_of(content) != digest:
        return
    copies = compressor.compress(content)
    for ending, copy in zip(COPIES, (copies.gzip, copies.brotli), strict=True):
        with suppress(NotADirectoryError):  # a symlink: what is behind it is not owned
            output.write(OutPath(path + ending), copy, owned=True)
