"""The flow readings of coins: one reading that summary, signals and history share.

Every payload is asked once however many of its readers want it: Coinbase's premium, the median
that Korea is held against and the dispersion of venues come from the same five tickers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mmflow_mcp.analytics.coinbase import premium_bps, premium_state
from mmflow_mcp.analytics.kimchi import Kimchi, kimchi_of
from mmflow_mcp.analytics.pressure import COINBASE, ETF, HL, KIMCHI, Input, score_of, spot_coverage
from mmflow_mcp.analytics.signals import SPOT, Reading
from mmflow_mcp.analytics.spreads import Spread, spread_of
from mmflow_mcp.analytics.states import LIVE, NONE, STALE
from mmflow_mcp.core.core import Core
from mmflow_mcp.core.fanout import Gathered
from mmflow_mcp.core.parts import merged, note, parts
from mmflow_mcp.core.readings import etf_table, reference_spot, won_per_dollar, won_spot
from mmflow_mcp.rows.onchain import EtfTable
from mmflow_mcp.tape.readings import net_taker_usd
from mmflow_mcp.venues import roll
from mmflow_mcp.venues.us_sessions import expected_session

KOREA = "upbit"
HL_VENUE = "hyperliquid"
# The coins that US spot funds hold, as the flow tables name them.
ETF_ASSETS = {"BTC": "bitcoin", "ETH": "ethereum"}


@dataclass(frozen=True, slots=True)
class CoinPulse:
    """What is known of the flows of one coin. `etf` is None where no fund holds it."""

    coin: str
    spread: Spread
    kimchi: Kimchi
    etf: EtfTable | None
    inputs: dict[str, Input]

    @property
    def score(self) -> int | None:
        """The flow pressure score."""
        return score_of(self.coin, self.inputs)

    @property
    def coverage(self) -> dict[str, str]:
        """How good each part is, in the specification's words."""
        return {
            "globalSpot": spot_coverage(len(self.spread.fresh)),
            "kimchi": self.inputs[KIMCHI].state,
            "etfProxy": self.inputs[ETF].state,
            "hlMicro": self.inputs[HL].state,
        }

    @property
    def reading(self) -> Reading:
        """What the signals' rules look at; thin coverage of the venues counts as stale."""
        spot = {"full": LIVE, "partial": STALE}.get(self.coverage["globalSpot"], NONE)
        dispersion = Input(self.spread.dispersion_bps, spot)
        return Reading(self.coin, {**self.inputs, SPOT: dispersion})


@dataclass(slots=True)
class Pulse:
    """The flow readings of several coins; `whole` is the envelope's side of them.

    `at`: the moment they describe, epoch ms. `prices`: of the reference set and Korea, for what a
    coin is listed on.
    """

    coins: list[CoinPulse]
    whole: Gathered
    prices: Gathered
    at: int
    tables: dict[str, EtfTable] = field(default_factory=dict)


async def flow_pulse(core: Core, coins: tuple[str, ...]) -> Pulse:
    """Read everything about the flows of these coins at once; what fails is a missing part."""
    assets = [asset for coin, asset in ETF_ASSETS.items() if coin in coins]
    korea = roll()[KOREA]
    world, local, fx, *funds = await parts(
        reference_spot(core, coins, change=False),
        won_spot(core, korea, tuple(dict.fromkeys((*coins, "USDT")))),
        won_per_dollar(core),
        *(etf_table(core, asset) for asset in assets),
    )
    # Reference data and daily tables carry their own dates.
    for one in (fx, *funds):
        one.fetched_at = None
    # A coin without a won market simply has no Korean part, and USDT was not asked about.
    local.not_listed = {}
    prices, whole = merged(world, local), merged(world, local, fx, *funds)
    at = _moment(core, prices)
    tables = {table.asset: table for found in funds for table in found.rows}
    _note_old_tables(tables.values(), whole, at)
    rate = fx.rows[0] if fx.rows else None
    found = []
    for coin in coins:
        spread = spread_of(coin, world.rows, core.pinned_now)
        kimchi, said = kimchi_of(coin, korea.id, local.rows, rate, spread, core.pinned_now)
        for doubt in said:
            note(whole, *doubt)
        table = tables.get(ETF_ASSETS.get(coin, ""))
        inputs = _inputs(spread, kimchi, table, _hl_input(core, coin), at)
        found.append(CoinPulse(coin, spread, kimchi, table, inputs))
    note_stale([one.spread for one in found], whole)
    return Pulse(found, whole, prices, at, tables)


def _moment(core: Core, prices: Gathered) -> int:
    """The moment the prices are of: the pinned one, or when the newest of them was read."""
    read = max((row.fetched_at for row in prices.rows), default=core.clock.now_ms())
    return core.moment(read)


def _hl_input(core: Core, coin: str) -> Input:
    """Net taker flow of the last five minutes, US$ millions.

    It needs a tape that covers them; without one it is unknown, not 0, and nobody waits for it.
    """
    if HL_VENUE not in core.tape.able():
        return Input()
    flow = net_taker_usd(core.tape, HL_VENUE, coin)
    return Input() if flow.usd is None else Input(flow.usd / 1e6, flow.coverage)


def _inputs(
    spread: Spread, kimchi: Kimchi, table: EtfTable | None, hl: Input, at_ms: int
) -> dict[str, Input]:
    return {
        COINBASE: Input(premium_bps(spread), premium_state(spread)),
        KIMCHI: Input(kimchi.premium_pct, kimchi.state),
        ETF: _etf_input(table, at_ms),
        HL: hl,
    }


def _etf_input(table: EtfTable | None, at_ms: int) -> Input:
    if table is None or table.latest is None or table.latest.total is None:
        return Input()
    return Input(table.latest.total, etf_state(table, at_ms))


def is_behind(table: EtfTable, at_ms: int) -> bool:
    """Whether a session that all funds must have reported by then is missing from a table."""
    expected = expected_session(at_ms)
    due = datetime(expected.year, expected.month, expected.day, tzinfo=UTC).timestamp() * 1000
    return table.latest is None or table.latest.date_ms < due


def etf_state(table: EtfTable, at_ms: int) -> str:
    """live, stale (the newest session due is missing) or none."""
    if table.latest is None:
        return NONE
    return STALE if is_behind(table, at_ms) else LIVE


def _note_old_tables(tables: Iterable[EtfTable], whole: Gathered, at_ms: int) -> None:
    for table in tables:
        if etf_state(table, at_ms) == STALE:
            said = f"stale: the newest {table.asset} session is not in the table"
            note(whole, "farside", "stale", said)


def note_stale(spreads: Sequence[Spread], whole: Gathered) -> None:
    """Say which venues' prices were too old to be used, and when no median came of it."""
    for spread in spreads:
        for row in spread.rows:
            if row.stale:
                reason = f"stale: its price of {spread.coin} is not of the same moment"
                note(whole, row.venue, "stale", reason)
        if spread.median is None and len(spread.rows) > 1:
            whole.partial = True
