"""Answers bent by hand: a sample with its document changed, or an address that fails."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from wires import SAMPLES, Answers

from mmflow_mcp.errors import VenueError
from mmflow_mcp.upstream.wire import Call, Wire
from mmflow_mcp.venues.ask import Ask

Bend = Callable[[Any], Any]


class Bent(Answers):
    """Our samples with changes. A key is a part of an address; `$` at its end means the end."""

    def __init__(
        self,
        venue: str,
        *,
        bends: Mapping[str, Bend] | None = None,
        failing: Mapping[str, VenueError] | None = None,
    ) -> None:
        super().__init__(SAMPLES / f"{venue}.har")
        self.venue = venue
        self.bends = bends or {}
        self.fails = failing or {}

    async def fetch(self, call: Call, deadline: float) -> tuple[Wire, str | None]:
        """The sample with its document changed, or the failure put in for its address."""
        for part, error in self.fails.items():
            if _meant(part, call.url):
                self.asked.append(call.url)
                raise error.fresh()
        wire, stale = await super().fetch(call, deadline)
        for part, bend in self.bends.items():
            if _meant(part, call.url):
                doc = bend(copy.deepcopy(wire.doc))
                wire = Wire(doc, fetched_at=wire.fetched_at, read=0.0, size=1)
                self._known[call.key] = wire
        return wire, stale

    def forget(self, *, but: tuple[str, ...] = ()) -> None:
        """Let everything known grow old, but for the addresses that contain one of these."""
        self.asked.clear()
        self._known = {k: w for k, w in self._known.items() if any(part in k[0] for part in but)}

    def ask(self, *coins: str) -> "RoundsAsk":
        """A question over these answers."""
        return RoundsAsk(self, coins or None)


class RoundsAsk(Ask):
    """An `Ask` that counts the rounds in which it had to wait for requests."""

    __slots__ = ("answers", "rounds")

    def __init__(self, answers: Bent, coins: tuple[str, ...] | None) -> None:
        upstream: Any = answers
        super().__init__(answers.venue, upstream, coins=coins, deadline=1e9)
        self.answers = answers
        self.rounds = 0

    async def _fetch_all(self, *args: Any) -> None:
        self.rounds += 1
        await super()._fetch_all(*args)


def _meant(part: str, url: str) -> bool:
    return url.endswith(part[:-1]) if part.endswith("$") else part in url


def without(rows: list[dict[str, Any]], *symbols: str) -> list[dict[str, Any]]:
    """The rows of other symbols."""
    return [row for row in rows if row["symbol"] not in symbols]


def changing(symbol: str, **members: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """A bend that replaces members of the row of one symbol."""

    def bend(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in rows:
            if row["symbol"] == symbol:
                row.update(members)
        return rows

    return bend
