"""What coins, venues and lists are understood as."""

from typing import Any

import pytest

from mmflow_mcp.endpoints.params import coin_of, coins_of, venue_of, venues_of
from mmflow_mcp.errors import BadQuestion
from mmflow_mcp.venues.coins import canonical, from_hyperliquid, understand


@pytest.mark.parametrize(
    ("written", "coin"),
    [
        ("btc", "BTC"),
        ("BTC-USDT", "BTC"),
        ("BTCUSDT", "BTC"),
        ("BTC/USDT", "BTC"),
        ("BTC/USDT:USDT", "BTC"),
        ("BTC_USDC", "BTC"),
        ("BTC-USDT-SWAP", "BTC"),
        ("BTC-PERPETUAL", "BTC"),
        ("BTCUSD_PERP", "BTC"),
        ("BTCUSD", "BTC"),
        ("xbt", "BTC"),
        ("XBTUSD", "BTC"),
        ("1000PEPE", "PEPE"),
        ("1000PEPEUSDT", "PEPE"),
        ("kPEPE", "PEPE"),
        ("SHIB1000USDT", "SHIB"),
        ("1MBABYDOGE", "BABYDOGE"),
        ("KAS", "KAS"),
        ("KAITO", "KAITO"),
        ("kas", "KAS"),
        ("1INCH", "1INCH"),
        ("1INCHUSDT", "1INCH"),
        ("2Z", "2Z"),
        ("C98", "C98"),
        ("LUNA2", "LUNA"),
        ("1000LUNC", "LUNC"),
        ("WUSDT", "W"),
        ("SUSDC", "S"),
        ("AUSD", "AUSD"),
        ("TUSD", "TUSD"),
        ("FDUSD", "FDUSD"),
        ("USDT", "USDT"),
        ("币安人生", "币安人生"),
        (" eth ", "ETH"),
    ],
)
def test_a_coin_is_understood_however_it_is_written(written: str, coin: str) -> None:
    """Pairs, contracts, multipliers and cases all name the coin."""
    assert coin == understand(written)


@pytest.mark.parametrize(
    ("base", "coin", "times"),
    [
        ("1000PEPE", "PEPE", 1_000),
        ("10000SATS", "SATS", 10_000),
        ("1000000MOG", "MOG", 1_000_000),
        ("1MBABYDOGE", "BABYDOGE", 1_000_000),
        ("SHIB1000", "SHIB", 1_000),
        ("1INCH", "1INCH", 1),
        ("C98", "C98", 1),
        ("KPEPE", "KPEPE", 1),
    ],
)
def test_multipliers_are_divided_out(base: str, coin: str, times: int) -> None:
    """And never out of names that merely have digits."""
    assert (coin, times) == canonical(base)


def test_only_a_lower_case_k_is_a_thousand_on_hyperliquid() -> None:
    """KPEPE would be a coin of its own; kPEPE is a thousand PEPE."""
    assert ("PEPE", 1000) == from_hyperliquid("kPEPE")
    assert ("KAITO", 1) == from_hyperliquid("KAITO")


@pytest.mark.parametrize(
    ("given", "coins"),
    [
        (None, None),
        ("", None),
        ([], None),
        ("BTC,ETH", ("BTC", "ETH")),
        (["BTC", "ETH"], ("BTC", "ETH")),
        (["BTC,ETH", "SOL"], ("BTC", "ETH", "SOL")),
        ('["BTC","ETH"]', ("BTC", "ETH")),
        (["btc", "BTC", "XBT"], ("BTC",)),
    ],
)
def test_lists_come_in_any_form(given: Any, coins: tuple[str, ...] | None) -> None:
    """Lists, comma-separated text, JSON text; each coin once, in the order given."""
    assert coins == coins_of(given)


@pytest.mark.parametrize(
    ("name", "venue"),
    [
        ("hl", "hyperliquid"),
        ("HYPERLIQUID", "hyperliquid"),
        ("HYPERLIQUID_FUTURES", "hyperliquid"),
        ("BINANCE_FUTURES", "binance"),
        ("BINANCE_DELIVERY", "binance"),
        ("binanceusdm", "binance"),
        ("OKEX", "okx"),
        ("OKEX_SWAP", "okx"),
        ("OKX", "okx"),
        ("GATE_IO_FUTURES", "gateio"),
        ("gate.io", "gateio"),
        ("BYBIT_SPOT", "bybit"),
        ("DERIBIT", "deribit"),
        ("BITMEX", "bitmex"),
        ("aster", "aster"),
        ("LIGHTER", "lighter"),
    ],
)
def test_venues_answer_to_their_aliases(name: str, venue: str) -> None:
    """The vocabulary of CONTRACT and of the dossiers."""
    assert venue == venue_of(name).id


def test_venues_fold_and_all_means_all() -> None:
    """Product lines of one venue are one venue, asked once."""
    assert ("binance", "okx") == venues_of("BINANCE_FUTURES,binance,BINANCE_DELIVERY,OKEX_SWAP")
    assert ("all",) == venues_of(["ALL"])
    assert venues_of(None) is None


@pytest.mark.parametrize(
    "written",
    ["BTC PERP", "BTC USDT", "btc perpetual", "BTC / USDT", "BTC USDT-SWAP", "BTC USD swap"],
)
def test_a_market_may_be_written_with_spaces(written: str) -> None:
    """Its quote and its kind follow the ticker."""
    assert ("BTC",) == coins_of(written)


@pytest.mark.parametrize("written", ["BTC ETH", "BTC ETH SOL", "BTC and ETH", "BTC - ETH"])
def test_no_name_of_a_list_is_dropped(written: str) -> None:
    """Separated by spaces, as a + in a URL is read, the rest would pass for words of one market."""
    with pytest.raises(BadQuestion, match=r"is not one coin.*commas: BTC,ETH"):
        coins_of(written)
    with pytest.raises(BadQuestion, match=r"is not one coin.*one ticker"):
        coin_of(written)


def test_a_list_is_not_one_coin() -> None:
    """Where one is wanted that is said before any venue is asked."""
    with pytest.raises(BadQuestion, match=r"^coin: 'BTC,ETH' is not one coin\. Fits: a ticker"):
        coin_of("BTC,ETH")


@pytest.mark.parametrize("written", ["\u200bBTC", "BTC\x00", "B\u202eTC", "\ufeffbtc"])
def test_hidden_characters_are_named(written: str) -> None:
    """What is shown without them looks right: that alone would puzzle."""
    with pytest.raises(BadQuestion, match=r"(?i)'BTC' with hidden characters is no coin"):
        coins_of(written)


def test_what_is_no_venue_is_told_the_nearest() -> None:
    """The error names what was given, what is near and what there is."""
    with pytest.raises(BadQuestion) as error:
        venues_of("binanse")
    assert ("binance",) == error.value.nearest[:1]
    assert "or all" in str(error.value)
