"""Farside's pages as the simulated funds would fill them, and the other publishers of the same.

The pages keep what makes the real ones hard to read: a stray `<tr>` before the first row, blanks
of U+00A0, headers without words, fees, seed capital, sums and averages between and below the days.
"""

from collections.abc import Callable, Sequence

from mmflow_mcp.sim.market import Market
from mmflow_mcp.sim.onchain import Session, funds, sessions
from mmflow_mcp.sim.wire import Handler, Routes, SimRequest, SimResponse, answer

HOSTS = ("farside.co.uk", "www.tftc.io", "raw.githubusercontent.com")

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_WEEKS = 14
_BLUE = ' style="background-color: #eaeffa !important;"'


def routes(market: Market) -> Routes:
    """The two long pages, the two short ones, TFTC's file and the mirror's two."""
    here, tftc, mirror = HOSTS
    pages: dict[str, Handler] = {
        "/bitcoin-etf-flow-all-data/": _page(market, "bitcoin", _one_row_header),
        "/ethereum-etf-flow-all-data/": _page(market, "ethereum", _silent_header),
        "/btc/": _page(market, "bitcoin", _logo_header, _WEEKS),
        "/eth/": _page(market, "ethereum", _logo_header, _WEEKS),
    }
    served: Routes = {("GET", here, path): handler for path, handler in pages.items()}
    served["GET", tftc, "/bitcoin-etf-flows/data.json"] = _tftc(market)
    for asset, file in (("bitcoin", "etf_btc.csv"), ("ethereum", "etf_eth.csv")):
        served["GET", mirror, f"/haturatu/crypto-etf-flow/main/{file}"] = _mirror(market, asset)
    return served


def not_found(request: SimRequest) -> SimResponse:
    """A page that does not exist."""
    words = f"<html><body><h1>404 Not Found</h1><p>{len(request.path)}</p></body></html>"
    return _html(words, 404)


def _html(text: str, status: int = 200) -> SimResponse:
    return SimResponse(status, text.encode(), {"content-type": "text/html; charset=UTF-8"})


def label(row: Session) -> str:
    """A day as the tables print it, 06 Jul 2026."""
    month = _MONTHS[3 * row.day.month - 3 : 3 * row.day.month]
    return f"{row.day.day:02d} {month} {row.day.year}"


def amount(value: float | None, digits: int = 1) -> str:
    """US$ millions as the tables print them: thousands with commas, negative in parentheses."""
    if value is None:
        return "-"
    text = f"{abs(value):,.{digits}f}"
    return f"({text})" if value < 0 and float(text.replace(",", "")) else text


def _page(
    market: Market,
    asset: str,
    header: Callable[[Sequence[str]], str],
    newest: int | None = None,
) -> Handler:
    def serve(request: SimRequest) -> SimResponse:
        names = funds(asset)
        rows = list(sessions(market, asset, request.now_ms))
        shown = rows if newest is None else rows[-newest:]
        body = "".join(_row(row, names) for row in shown)
        menu = '<table class="menu"><tr><td>Home<td>ETF flows</table>'
        return _html(
            f"<!DOCTYPE html><html><body>{menu}\n"
            f'<table class="etf">\n<thead>{header(names)}</thead>\n<tbody>\n<tr>\n{body}'
            f"{_footer(rows, names)}</tbody>\n</table>\n</body></html>"
        )

    return serve


def _cell(text: str, tag: str = "td") -> str:
    if text.startswith("("):
        text = f'<span class="redFont">{text}</span>'
    return f'<{tag}><div align="right"><span class="tabletext">{text}</span></div></{tag}>'


def _first(text: str, tag: str = "td") -> str:
    return f'<{tag}><span class="tabletext">{text}</span></{tag}>'


def _line(first: str, others: Sequence[str], tag: str = "td", style: str = "") -> str:
    cells = "".join(_cell(text, tag) for text in others)
    return f"<tr{style}>{_first(first, tag)}{cells}</tr>\n"


def _one_row_header(names: Sequence[str]) -> str:
    padded = [f"&nbsp;&nbsp;{name}" for name in names]
    return _line("Date", [*padded, "Total"], "th", ' bgcolor="#eaeffa"')


def _silent_header(names: Sequence[str]) -> str:
    fees = ["0.25%" for _ in names]
    seed = [amount(10.0 + n) for n, _ in enumerate(names)]
    return (
        _line("", [*names, "Total"], "th", ' bgcolor="#eaeffa"')
        + _line("Fee", [*fees, ""], "th")
        + _line("Seed", [*seed, amount(sum(10.0 + n for n, _ in enumerate(names)))])
    )


def _logo_header(names: Sequence[str]) -> str:
    logos = "".join('<th><img src="/images/etf/x.jpg" alt="X"></th>' for _ in names)
    return (
        f'<tr bgcolor="#eaeffa">{_first("", "th")}{logos}{_cell("&nbsp;Total", "th")}</tr>\n'
        + _line("", [*names, ""], "th")
        + _line("Fee", [*("0.25%" for _ in names), ""], "th")
    )


def _row(row: Session, names: Sequence[str]) -> str:
    values = [amount(row.values.get(name)) for name in names]
    return _line(label(row), [*values, amount(row.total)])


def _footer(rows: Sequence[Session], names: Sequence[str]) -> str:
    """Total in whole millions, then average, maximum and minimum, of each column."""
    columns = [[r.values[n] for r in rows if n in r.values] for n in names]
    columns.append([row.total for row in rows if row.values])
    lines = (
        ("Total", [amount(sum(c), 0) for c in columns]),
        ("Average", [amount(sum(c) / len(c) if c else None) for c in columns]),
        ("Maximum", [amount(max(c, default=None)) for c in columns]),
        ("Minimum", [amount(min(c, default=None)) for c in columns]),
    )
    return "".join(_line(name, cells, "td", _BLUE) for name, cells in lines)


def _tftc(market: Market) -> Handler:
    """US$, not millions; a day that is not complete has no net flow."""

    def serve(request: SimRequest) -> SimResponse:
        rows = [r for r in sessions(market, "bitcoin", request.now_ms) if r.open]
        days = [
            {
                "date": row.day.isoformat(),
                "netFlowUsd": round(row.total * 1e6) if row.complete else None,
                "totalNetAssetsUsd": None,
                "btcCloseUsd": None,
                "perEtfUsd": {name: round(value * 1e6) for name, value in row.values.items()},
            }
            for row in rows
        ]
        about = {"name": "Bitcoin ETF flows", "attribution": "TFTC", "license": "CC BY 4.0"}
        return answer({**about, "updatedThrough": days[-1]["date"] if days else None, "days": days})

    return serve


def _mirror(market: Market, asset: str) -> Handler:
    def serve(request: SimRequest) -> SimResponse:
        names = funds(asset)
        lines = [",".join(["Date", *names, "Total"])]
        for row in sessions(market, asset, request.now_ms):
            cells = [amount(row.values.get(name)) for name in names]
            quoted = [f'"{c}"' if "," in c else c for c in (*cells, amount(row.total))]
            lines.append(",".join([label(row), *quoted]))
        body = "\n".join(lines) + "\n"
        return SimResponse(200, body.encode(), {"content-type": "text/plain; charset=utf-8"})

    return serve
