"""Bars of one interval over several venues (METHODS 12). Pure: candles in, a candle out."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mmflow_mcp.rows.candles import Candle


@dataclass(frozen=True, slots=True)
class MergedBar:
    """One bar of several venues: `candle` has the prices of `venue` and the volume of all."""

    venue: str
    candle: Candle


def at(candles: Iterable[Candle], t: int) -> Candle | None:
    """The candle that opens at `t`; None where nothing traded."""
    return next((candle for candle in candles if candle.t == t), None)


def gap_filled(candles: Iterable[Candle], t: int) -> Candle | None:
    """What stands for the candle of `t` where nothing traded: the last close, without volume.

    None where there is no candle before it.
    """
    before = [candle for candle in candles if candle.t < t]
    if not before:
        return None
    last = max(before, key=lambda candle: candle.t).c
    return Candle(t=t, o=last, h=last, l=last, c=last, v=0.0)


def merge(by_venue: Mapping[str, Candle]) -> MergedBar | None:
    """One bar of the same interval on several venues; None of none.

    Volume adds. Prices are those of the venue with the largest volume (tie: the first by name):
    the highest of several venues' highs was paid by nobody who could have sold at the lowest.

    Raises ValueError for candles that open at different times.
    """
    if not by_venue:
        return None
    if len({candle.t for candle in by_venue.values()}) > 1:
        raise ValueError("candles of different intervals are not one bar")
    leader = largest({venue: candle.v for venue, candle in by_venue.items()})
    volume = math.fsum(candle.v for candle in by_venue.values())
    return MergedBar(leader, replace(by_venue[leader], v=volume))


def largest(volumes: Mapping[str, float]) -> str:
    """The venue of the largest volume; of equal ones the first by name."""
    return min(volumes, key=lambda venue: (-volumes[venue], venue))
