"""API keys: how one looks, what is stored of it, and how the two are compared.

    mmf_ + 8 characters, the id + 43 characters, the secret (256 bits) + 6 characters, a checksum

The checksum (CRC-32 of everything before it) tells a typo or a cut line without a look-up. The id
is no secret: `keys list` shows it, and it finds the one digest to compare with. Stored is the
SHA-256 of the whole key and never the key. One round of a fast hash is enough here: what slow
hashes with salt defend are passwords, which can be guessed; of 256 random bits there is nothing to
guess, and the comparison must not cost a question its speed.
"""

import hashlib
import hmac
import secrets
import string
import zlib
from dataclasses import dataclass

PREFIX = "mmf_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH = 8
SECRET_LENGTH = 43  # of 62 letters: 256 bits
CHECK_LENGTH = 6  # of 62 letters: more than 32 bits
LENGTH = len(PREFIX) + ID_LENGTH + SECRET_LENGTH + CHECK_LENGTH
NAME_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Key:
    """What is stored of a key. Times in epoch ms; `per_minute` None: the settings', 0: off."""

    id: str
    digest: bytes
    name: str
    created: int
    per_minute: int | None = None
    used: int | None = None
    revoked: int | None = None


def make_key(name: str, created: int, per_minute: int | None = None) -> tuple[str, Key]:
    """A new key: its text, which is to be shown once and forgotten, and what is stored of it."""
    body = PREFIX + _random(ID_LENGTH) + _random(SECRET_LENGTH)
    text = body + checksum(body)
    return text, Key(id_of(text), digest_of(text), name, created, per_minute)


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def checksum(body: str) -> str:
    """The last six characters of the key that begins so."""
    rest = zlib.crc32(body.encode())
    letters = []
    for _ in range(CHECK_LENGTH):
        rest, letter = divmod(rest, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return "".join(letters)


def is_whole(text: str) -> bool:
    """Whether a text can be a key at all: its length, its letters, its checksum."""
    return (
        len(text) == LENGTH
        and text.isascii()
        and text.startswith(PREFIX)
        and text[-CHECK_LENGTH:] == checksum(text[:-CHECK_LENGTH])
    )


def id_of(text: str) -> str:
    """The id in a whole key."""
    return text[len(PREFIX) : len(PREFIX) + ID_LENGTH]


def digest_of(text: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(text.encode()).digest()


def matches(text: str, key: Key | None) -> bool:
    """Whether a text is this key, in a time that tells nothing; with no key as long, and False."""
    held = _NOBODY if key is None else key.digest
    return hmac.compare_digest(digest_of(text), held) and key is not None


_NOBODY = bytes(32)
