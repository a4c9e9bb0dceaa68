"""The connection to a Redis or Valkey server: the only file that names the client library.

The library is an optional extra and is loaded with the first connection. Its errors become
`StoreError`s here; an address is never repeated with its password.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from mmflow_mcp.errors import BadQuestion, StoreAway, StoreUnwritable

_IN_SCRIPT = re.compile(r"[.,]? script: .*$", re.DOTALL)
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0
CONNECTIONS = 8
FITS = "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE] or rediss://..."


class RedisServer:
    """A server by its address, and a few connections to it, made when they are first used.

    `gone` tells why it need not be tried, where somebody else finds that out; None: it may be
    there. Raises `BadQuestion` for an address that is none, and where the library is not installed.
    """

    def __init__(self, url: str, *, gone: Callable[[], str | None] | None = None) -> None:
        self.name = place_of(url)
        self._gone = gone
        if find_spec("redis") is None:
            raise BadQuestion(
                "store",
                "the client library of Redis is not installed.",
                fits='pip install "mmflow-mcp[redis]"',
            )
        self._url = url
        self._client: Any = None

    @property
    def client(self) -> Any:
        """The library's asyncio client; answers are bytes."""
        if self._client is None:
            from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415 - optional
            from redis.asyncio.retry import Retry  # noqa: PLC0415
            from redis.backoff import NoBackoff  # noqa: PLC0415
            from redis.exceptions import ConnectionError as Broken  # noqa: PLC0415

            pool = BlockingConnectionPool.from_url(
                self._url,
                max_connections=CONNECTIONS,
                timeout=ANSWER_SECONDS,
                socket_connect_timeout=CONNECT_SECONDS,
                socket_timeout=ANSWER_SECONDS,
                # Once more at once: a kept connection may have outlived the server behind it.
                # One that does not answer is not waited for twice.
                retry=Retry(NoBackoff(), 1, supported_errors=(Broken,)),
                client_name="mmflow-mcp",
            )
            self._client = Redis.from_pool(pool)
        return self._client

    @contextmanager
    def reached(self) -> Iterator[Any]:
        """The client; what fails inside the block is a `StoreError`."""
        from redis import exceptions as told  # noqa: PLC0415 - optional

        if self._gone is not None and (why := self._gone()) is not None:
            raise StoreAway(why)
        try:
            yield self.client
        except (told.OutOfMemoryError, told.ReadOnlyError, told.NoPermissionError) as error:
            raise StoreUnwritable(f"{self.name} takes no more: {words_of(error)}") from error
        except told.ExecAbortError as error:
            raise StoreUnwritable(f"{self.name} did not do it: {words_of(error)}") from error
        except (told.AuthenticationError, told.AuthorizationError) as error:
            raise StoreAway(f"{self.name} does not let us in; is the password right?") from error
        except (told.TimeoutError, TimeoutError) as error:
            raise StoreAway(f"{self.name} does not answer in time") from error
        except (told.ConnectionError, OSError) as error:
            raise StoreAway(f"{self.name} cannot be reached") from error
        except told.ResponseError as error:
            # A server that cannot save, or lacks its replicas, can still be read.
            refuses = words_of(error).startswith(("MISCONF", "NOREPLICAS"))
            kind = StoreUnwritable if refuses else StoreAway
            raise kind(f"{self.name} refused: {words_of(error)}") from error
        except told.RedisError as error:
            raise StoreAway(f"{self.name} failed: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def place_of(url: str) -> str:
    """An address without user and password. Raises `BadQuestion`, which does not repeat it."""
    try:
        parts = urlsplit(url)
        port, host = parts.port or 6379, parts.hostname
    except ValueError:
        parts, port, host = urlsplit(""), 0, None
    database = parts.path.strip("/")
    if parts.scheme not in ("redis", "rediss") or not host or not (database or "0").isdigit():
        raise BadQuestion("store", "the address of the server is none.", fits=FITS)
    return f"{parts.scheme}://{host}:{port}/{database or 0}"


def words_of(error: Exception) -> str:
    """What the server said, without the line of our script or the whole command it said it of."""
    said = str(error).rpartition(" of pipeline caused error: ")[2].strip("()\"',")
    return _IN_SCRIPT.sub("", said)


def lacks_script(answer: object) -> bool:
    """Whether an answer says that the server does not know a script by its digest."""
    from redis.exceptions import NoScriptError  # noqa: PLC0415 - optional

    return isinstance(answer, NoScriptError)
