"""What the simulated world is made of: a listing, its state at one moment, an option's quote."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listing:
    """One instrument that a venue lists.

    `coin` is the canonical ticker, or the ticker of the stock, metal, ... when `asset` is not
    "crypto". `multiplier` is coins per symbol unit (1000 for 1000PEPE); `contract_size` is symbol
    units per contract (linear) or USD per contract (inverse). `period_hours` is the time its
    funding rate is expressed for, `paid_hours` the time between two payments (the same but for
    lighter). Spot listings are "linear".
    """

    venue: str
    symbol: str
    coin: str
    quote: str
    kind: str
    margin: str
    price_digits: int
    size_digits: int
    multiplier: int = 1
    contract_size: float = 1.0
    asset: str = "crypto"
    status: str = "live"
    period_hours: int = 8
    paid_hours: int = 8
    expiry_ms: int | None = None

    @property
    def counted(self) -> bool:
        """Whether it belongs to a coin's open interest: a live perpetual on a coin."""
        return self.kind == "perp" and self.asset == "crypto" and self.status == "live"


@dataclass(frozen=True, slots=True)
class Perp:
    """The state of one listing at one moment, rounded to what its venue prints.

    Prices are USD per symbol unit (the price of 1000PEPE is that of 1000 coins).
    `funding_rate` is the fraction per `listing.period_hours` predicted for the running period (the
    last 8 hours on deribit); 0.0 with `next_funding_ms` 0 for futures and spot.
    `open_interest` is one-sided: contracts where the listing has them (linear with a contract size
    other than 1, and inverse), else symbol units; 0.0 for what is not live (except lighter,
    which keeps the last one). Volumes cover 24 h: `volume_coins` in coins, `turnover_usd` in USD.
    """

    listing: Listing
    mark: float
    index: float
    last: float
    bid: float
    ask: float
    funding_rate: float
    next_funding_ms: int
    open_interest: float
    oi_coins: float
    oi_usd: float
    volume_coins: float
    turnover_usd: float
    open_24h: float
    high_24h: float
    low_24h: float


@dataclass(frozen=True, slots=True)
class OptionQuote:
    """One option: `oi` and `volume` in coins, `mark_iv` percent, `forward` and `index` USD.

    `mark_price`, `bid` and `ask` are in coins for BTC and ETH, in USDC per coin for SOL and XRP;
    an empty side of the book is None. `type` is "C" or "P".
    """

    instrument: str
    underlying: str
    strike: float
    expiry_ms: int
    type: str
    oi: float
    volume: float
    mark_iv: float
    mark_price: float
    bid: float | None
    ask: float | None
    forward: float
    index: float
