"""Numbers and times as people read them."""

import pytest

from mmflow_mcp.surfaces.tables import _section, plain, table


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.00001234, "0.00001234"),
        (-0.0000125, "-0.0000125"),
        (64320.5, "64,320.5"),
        (75151328500.4, "75,151,328,500"),
        (1234567, "1,234,567"),
        (None, "-"),
        (True, "yes"),
        ({"IBIT": -1.5, "GBTC": 0.0}, "IBIT -1.5, GBTC 0"),
        (["oi", "funding"], "oi, funding"),
    ],
)
def test_a_value_is_shown_plainly(value: object, shown: str) -> None:
    """Separators for amounts, all digits for small rates, a dash for what is unknown."""
    assert shown == plain(value)


def test_columns_are_aligned() -> None:
    """Numbers stand to the right, words to the left, times are dates."""
    lines = table(["coin", "rate", "expiryMs"], [["BTC", 0.0001, 0], ["PEPE", -2.5, 86_400_000]])
    assert ["coin    rate          expiryMs", "BTC   0.0001  1970-01-01 00:00"] == lines.split(
        "\n"
    )[:2]
    assert "PEPE    -2.5  1970-01-02 00:00" == lines.split("\n")[2]


def test_a_part_by_venue_has_its_name_above_it() -> None:
    """Hours and rates by venue look alike: each list says what it is."""
    assert "meanApr\nhl   15.93\nokx  10.95" == _section("meanApr", {"hl": 15.93, "okx": 10.95})
    assert "coin  BTC" == _section("", {"coin": "BTC"})
