"""An answer as it lies in the shared cache: the body as it was read, when, and a digest of both.

The digest also covers whose answer to which question it is: what is damaged, cut short or lies in
the wrong place is no parcel. It guards against accidents, not against who may write there.
"""

import struct
import zlib
from dataclasses import dataclass
from hashlib import blake2b

# The moment of reading by the server's clock stands first, in digits that its scripts can read.
STAMP = 13
_HEAD = struct.Struct(">BqI16s")
_PLAIN, _DEFLATED = 0, 1
# Below this, packing saves nothing. Level 1: an eighth of the size of venues' JSON at 150 MB/s.
WORTH_PACKING = 1_024
LEVEL = 1
# Bytes of a parcel; what is larger stays with the replica that read it.
MOST = 2 << 20
# Bytes of a body (the judge takes none that is larger).
MOST_UNPACKED = 48 << 20


@dataclass(frozen=True, slots=True)
class Parcel:
    """A body, when it was read by the server's clock, and by the reader's own (epoch ms)."""

    body: bytes
    read_ms: int
    fetched_at: int


def pack(identity: bytes, parcel: Parcel) -> bytes | None:
    """The bytes to keep for a question; None for what is too large."""
    body, sort = parcel.body, _PLAIN
    if len(body) >= WORTH_PACKING:
        body, sort = zlib.compress(body, LEVEL), _DEFLATED
    stamp = b"%0*d" % (STAMP, parcel.read_ms)
    head = _HEAD.pack(sort, parcel.fetched_at, len(parcel.body), _digest(identity, parcel))
    blob = stamp + head + body
    return blob if len(blob) <= MOST and len(stamp) == STAMP else None


def unpack(identity: bytes, blob: bytes) -> Parcel | None:
    """What was packed for this question; None for anything else."""
    try:
        read_ms = int(blob[:STAMP])
        sort, fetched_at, size, digest = _HEAD.unpack_from(blob, STAMP)
        body = blob[STAMP + _HEAD.size :]
        if sort == _DEFLATED:
            if size > MOST_UNPACKED:
                return None
            body = zlib.decompressobj().decompress(body, size + 1)
    except (ValueError, struct.error, zlib.error):
        return None
    parcel = Parcel(body, read_ms, fetched_at)
    return parcel if len(body) == size and digest == _digest(identity, parcel) else None


def _digest(identity: bytes, parcel: Parcel) -> bytes:
    made = blake2b(b"%d %d %d " % (len(identity), parcel.read_ms, parcel.fetched_at))
    made.update(identity)
    made.update(parcel.body)
    return made.digest()[:16]
