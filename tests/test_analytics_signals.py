"""Flow signals (METHODS 11): what fires, what keeps its id, what ends it."""

from collections.abc import Mapping

import pytest

from mmflow_mcp.analytics.pressure import COINBASE, ETF, HL, KIMCHI, Input
from mmflow_mcp.analytics.signals import SPOT, Held, Reading, Signal, judge
from mmflow_mcp.core.signal_book import SignalBook

MINUTE = 60_000
# A whole minute: 1,747,399,980,000 is METHODS' own example of the grid.
AT = 1_747_399_980_000


def reading(coin: str = "BTC", **values: float | Input) -> Reading:
    """A coin's readings, live unless an Input says otherwise."""
    inputs = {n: v if isinstance(v, Input) else Input(v, "live") for n, v in values.items()}
    return Reading(coin, inputs)


def fired(coin: str, values: Mapping[str, float]) -> dict[str, str]:
    """Slug -> severity of what a first look finds."""
    signals, _ = judge(reading(coin, **values), AT, {})
    return {s.id.split(":")[1]: s.severity for s in signals}


def test_the_seed_s_readings() -> None:
    """Spot-led demand is hot; Coinbase, ETF and Hyperliquid each worth watching."""
    found = fired("BTC", {"coinbase": 8.4, "kimchi": 2.1, "etf": 412.0, "hl": 38.0})
    expected = {
        "spot-led-demand": "hot",
        "coinbase-premium": "watch",
        "etf-inflow": "watch",
        "hl-net-buying": "watch",
    }
    assert expected == found


def test_every_rule_has_its_mirror() -> None:
    """The same readings negated."""
    expected = {
        "spot-led-supply": "hot",
        "coinbase-discount": "hot",
        "kimchi-discount": "hot",
        "etf-outflow": "hot",
        "hl-net-selling": "hot",
    }
    assert expected == fired("BTC", {"coinbase": -10.0, "kimchi": -5.0, "etf": -500.0, "hl": -45.0})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"coinbase": 4.99}, {}),
        ({"coinbase": 5.0}, {"coinbase-premium": "watch"}),
        ({"coinbase": 9.99}, {"coinbase-premium": "watch"}),
        ({"coinbase": -10.0}, {"coinbase-discount": "hot"}),
        ({"kimchi": 2.99}, {}),
        ({"kimchi": 3.0}, {"kimchi-premium": "watch"}),
        ({"kimchi": 5.0}, {"kimchi-premium": "hot"}),
        ({"etf": 249.9}, {}),
        ({"etf": 250.0}, {"etf-inflow": "watch"}),
        ({"etf": -500.0}, {"etf-outflow": "hot"}),
        ({"hl": 22.4}, {}),
        ({"hl": 22.5}, {"hl-net-buying": "watch"}),
        ({"hl": 45.0}, {"hl-net-buying": "hot"}),
        ({"spot": 14.9}, {}),
        ({"spot": 15.0}, {"venue-dispersion": "watch"}),
        ({"spot": 40.0}, {"venue-dispersion": "hot"}),
        ({"coinbase": 3.0, "hl": -11.25}, {"perp-led-move": "watch"}),
        ({"coinbase": -3.0, "hl": 11.25}, {"perp-led-move": "watch"}),
        ({"coinbase": 3.0, "hl": 11.25}, {}),
        ({"coinbase": 3.0, "hl": -11.2}, {}),
        ({"coinbase": 3.0, "kimchi": 0.5, "hl": 11.25}, {"spot-led-demand": "hot"}),
        ({"coinbase": 3.0, "kimchi": 0.49, "hl": 11.25}, {}),
        ({"coinbase": 3.0, "kimchi": 0.5}, {}),
        ({}, {}),
    ],
)
def test_thresholds_are_inclusive(values: dict[str, float], expected: dict[str, str]) -> None:
    """Each at its edge; a part that is not known never fires."""
    assert expected == fired("BTC", values)


def test_scales_are_the_coin_s() -> None:
    """150 US$M are hot for ether, nothing for bitcoin; a coin without funds has no ETF signal."""
    assert {"etf-inflow": "hot"} == fired("ETH", {"etf": 150.0})
    assert {} == fired("BTC", {"etf": 150.0})
    assert {} == fired("SOL", {"etf": 1e6})
    assert {"hl-net-buying": "hot"} == fired("DOGE", {"hl": 2.0})


class TestMemory:
    """A condition keeps its id while it holds."""

    def test_id_and_time_are_of_the_beginning(self) -> None:
        """The minute in which it began, however long it lasts."""
        book = SignalBook()
        first = book.look(reading(coinbase=6.0), AT + 17_000)
        later = book.look(reading(coinbase=7.0), AT + 5 * MINUTE + 3_000)
        assert [f"BTC:coinbase-premium:{AT}"] == [s.id for s in first] == [s.id for s in later]
        assert AT == later[0].ts

    def test_it_ends_below_four_fifths(self) -> None:
        """Entered at 5 bps, held at 4.0, left at 3.99; then a new one has a new id."""
        book = SignalBook()
        assert book.look(reading(coinbase=5.0), AT)
        assert [f"BTC:coinbase-premium:{AT}"] == [
            s.id for s in book.look(reading(coinbase=4.0), AT + MINUTE)
        ]
        assert [] == book.look(reading(coinbase=3.99), AT + 2 * MINUTE)
        assert [] == book.look(reading(coinbase=4.5), AT + 3 * MINUTE)
        again = book.look(reading(coinbase=5.0), AT + 4 * MINUTE)
        assert [f"BTC:coinbase-premium:{AT + 4 * MINUTE}"] == [s.id for s in again]

    def test_hot_holds_to_four_fifths_too(self) -> None:
        """Hot from 10 bps down to 8; a watch does not become hot at 8."""
        book = SignalBook()

        def severity(value: float, minutes: int) -> str:
            return book.look(reading(coinbase=value), AT + minutes * MINUTE)[0].severity

        assert ["watch", "hot", "hot", "watch", "watch"] == [
            severity(value, minutes) for minutes, value in enumerate([9.0, 10.0, 8.0, 7.9, 8.0])
        ]

    def test_a_change_of_sign_is_another_condition(self) -> None:
        """A premium that turns into a discount begins anew."""
        book = SignalBook()
        book.look(reading(coinbase=6.0), AT)
        turned = book.look(reading(coinbase=-6.0), AT + MINUTE)
        assert [f"BTC:coinbase-discount:{AT + MINUTE}"] == [s.id for s in turned]

    def test_what_was_seen_long_ago_began_anew(self) -> None:
        """Nobody knows what held in between."""
        book = SignalBook()
        book.look(reading(coinbase=6.0), AT)
        later = book.look(reading(coinbase=6.0), AT + 16 * MINUTE)
        assert [AT + 16 * MINUTE] == [s.ts for s in later]

    def test_coins_do_not_mix(self) -> None:
        """Each has a memory of its own."""
        book = SignalBook()
        book.look(reading("BTC", coinbase=6.0), AT)
        assert [] == book.look(reading("ETH", coinbase=4.5), AT + MINUTE)


class TestConfidence:
    """How sure a signal is."""

    def confidence(self, *looks: tuple[int, Reading]) -> str:
        """Of the only signal at the last look."""
        book = SignalBook()
        found: list[Signal] = []
        for at, one in looks:
            found = book.look(one, at)
        (signal,) = found
        return signal.confidence

    def test_seen_twice_on_live_inputs_is_high(self) -> None:
        """In two different minutes: two looks at one minute's prices are one."""
        live = reading(coinbase=6.0)
        assert "medium" == self.confidence((AT, live))
        assert "medium" == self.confidence((AT, live), (AT + 30_000, live))
        assert "high" == self.confidence((AT, live), (AT + MINUTE, live))

    def test_a_stale_input_costs_a_step(self) -> None:
        """One is medium, one on a first look is low."""
        stale = reading(kimchi=Input(4.0, "stale"))
        assert "low" == self.confidence((AT, stale))
        assert "medium" == self.confidence((AT, stale), (AT + MINUTE, stale))

    def test_two_stale_inputs_are_low(self) -> None:
        """However often they are seen."""
        old = reading(coinbase=Input(3.5, "stale"), hl=Input(-12.0, "stale"))
        assert "low" == self.confidence((AT, old), (AT + MINUTE, old))


def test_hot_comes_first_then_the_newest() -> None:
    """Then by id."""
    known = {"coinbase-premium": Held(AT - 5 * MINUTE, "watch", 3, AT - MINUTE)}
    signals, _ = judge(reading(coinbase=6.0, kimchi=3.5, spot=50.0, hl=23.0), AT, known)
    slugs = [s.id.split(":")[1] for s in signals]
    # Spot, Korea and Hyperliquid agree as well.
    expected = ["spot-led-demand", "venue-dispersion", "hl-net-buying", "kimchi-premium"]
    assert [*expected, "coinbase-premium"] == slugs


def test_words_tell_the_readings() -> None:
    """Title, layer and message of a composite signal."""
    signals, _ = judge(reading(coinbase=8.4, kimchi=2.1, hl=38.0), AT, {})
    first = signals[0]
    assert "composite" == first.layer
    assert "Spot-led demand with Korea confirmation" == first.title
    assert "Coinbase +8.4 bps, Kimchi +2.10%, HL +$38.0M" == first.message


def test_the_names_are_the_readings() -> None:
    """The keywords these tests use are the inputs' names."""
    assert ("coinbase", "kimchi", "etf", "hl", "spot") == (COINBASE, KIMCHI, ETF, HL, SPOT)
