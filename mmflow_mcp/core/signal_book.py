"""What is remembered of flow signals between two looks: the rules themselves are pure."""

from collections.abc import Mapping

from mmflow_mcp.analytics.signals import Held, Reading, Signal, judge


class SignalBook:
    """The conditions that held at the last look, by coin."""

    def __init__(self) -> None:
        self._held: dict[str, Mapping[str, Held]] = {}

    def look(self, reading: Reading, at_ms: int) -> list[Signal]:
        """The signals of a coin now; what holds is remembered for the next look."""
        signals, held = judge(reading, at_ms, self._held.get(reading.coin, {}))
        if held:
            self._held[reading.coin] = held
        else:
            self._held.pop(reading.coin, None)
        return signals
