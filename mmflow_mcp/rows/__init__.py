"""What this server answers: the rows, with the unit and sign of every number.

Attributes are snake_case here and camelCase on every face (`camel` maps one to the other).
Unknown is None, never zero. Times are epoch milliseconds UTC, `fetched_at` is when our process
finished reading the wire a row came from. One file per family of endpoints.
"""

from mmflow_mcp.rows.markets import MarketRow
from mmflow_mcp.rows.options import OptionChain, OptionRow
from mmflow_mcp.rows.perps import FundingRow, OpenInterestRow
from mmflow_mcp.rows.told import camel, columns, getter, maybe, told

__all__ = [
    "FundingRow",
    "MarketRow",
    "OpenInterestRow",
    "OptionChain",
    "OptionRow",
    "camel",
    "columns",
    "getter",
    "maybe",
    "told",
]
