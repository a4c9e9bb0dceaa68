"""A process that takes a lease, says so, and holds it until it is killed."""

import sys
from pathlib import Path

import anyio

from mmflow_mcp.series.places import open_lease


async def hold(text: str, folder: Path, lifetime_ms: int) -> None:
    """Take and keep."""
    lease = open_lease(text, "live", folder, "sampler", lifetime_ms=lifetime_ms)
    sys.stdout.write(f"{await lease.acquire()}\n")
    sys.stdout.flush()
    while await lease.renew():  # noqa: ASYNC110 - nothing else will tell
        await anyio.sleep(lifetime_ms / 3000)


if __name__ == "__main__":
    anyio.run(hold, sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
