"""When two requests ask the same question, although made at different times.

Method, host, path, query and, for POST, the members of the JSON body decide. Paging and time
windows do not: a recording was made at another moment, with another page size. A name that holds
a credential does not either: it is never written to a recording.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

# Names are compared in lower case without `_` and `-`: startTime, start_time and start-time agree.
# How much of a list is given: any value may differ.
_SIZES = frozenset(
    {"limit", "limittrades", "limitpertype", "count", "countback", "size", "sz", "pagesize"}
    | {"perpage", "resultsperpage", "depth", "len", "fromid", "lastid", "idlessthan"}
)
# Which page of a list: may differ, and a page that was recorded is answered by itself.
_PAGES = frozenset(
    {"cursor", "aftercursor", "page", "pageno", "pagenum", "pageindex", "offset", "skip"}
    | {"pagetoken", "nextpagetoken"}
)
# From when to when: may differ where the value is a time or an id. OKX pages by time and id with
# `after` and `before`; `to=KRW` (a currency at Frankfurter) and `start=BTC` stay deciding.
_WINDOWS = frozenset(
    {"start", "end", "from", "to", "since", "until", "after", "before", "begin", "time"}
    | {"timestamp", "starttime", "endtime", "stime", "etime", "starttimestamp", "endtimestamp"}
    | {"sincetimestamp", "untiltimestamp", "startts", "endts", "mints", "maxts", "startat"}
    | {"endat", "startday", "endday", "fromiso", "toiso", "lasttime", "daysago"}
    | {"createdbeforeorat", "effectivebeforeorat"}
)
# Bitstamp's `time` is minute, hour or day: how far the trades reach back.
_TIME = re.compile(r"[\d.:TZ+\- ]*|minute|hour|day")

_SECRET_PARTS = ("secret", "signature", "passphrase", "password", "apikey")
_SECRET_ENDS = ("key", "token", "auth")


class Question(NamedTuple):
    """What decides which recorded answer fits.

    `asked` is the canonical form of the query and of a POST body without paging, windows and
    credentials; `page` the canonical form of the page alone, empty for the first.
    """

    method: str
    host: str
    path: str
    asked: str
    page: str


def read_question(method: str, url: str, body: bytes | None = None) -> Question:
    """The question that a request asks. The port does not decide, nor a slash at the end."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query)
    asked: list[Any] = sorted(pair for pair in pairs if _decides(*pair))
    page = sorted(pair for pair in pairs if _turns(*pair))
    if body and method.upper() == "POST":
        try:
            members = json.loads(body)
        except ValueError:
            members = body.decode("utf-8", "replace")
        if kept := _deciding(members):
            asked.append(kept)
        page += sorted(_paging(members))
    return Question(
        method.upper(),
        (parts.hostname or "").lower(),
        unquote(parts.path).rstrip("/"),
        json.dumps(asked, sort_keys=True),
        json.dumps(page) if page else "",
    )


def is_secret(name: str) -> bool:
    """Whether a parameter of that name holds a credential: api_key, token, signature.

    Names that only begin so are ordinary questions at some venues: `keys`, `token_id`.
    """
    plain = _plain(name)
    return any(part in plain for part in _SECRET_PARTS) or plain.endswith(_SECRET_ENDS)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _decides(name: str, value: str) -> bool:
    plain = _plain(name)
    if plain in _SIZES or plain in _PAGES or is_secret(name):
        return False
    return not (plain in _WINDOWS and _TIME.fullmatch(value))


def _turns(name: str, value: str) -> bool:
    return _plain(name) in _PAGES and value != "0"


def _deciding(value: Any) -> Any:
    """A JSON value without the members that do not decide. Absent, null and "" are one."""
    if isinstance(value, dict):
        return {
            name: _deciding(member)
            for name, member in value.items()
            if member not in (None, "") and (_nested(member) or _decides(name, _text(member)))
        }
    if isinstance(value, list):
        return [_deciding(member) for member in value]
    return value


def _paging(value: Any) -> Iterable[tuple[str, str]]:
    """The page that a JSON body asks for, wherever it stands in it."""
    if isinstance(value, dict):
        for name, member in value.items():
            if _nested(member):
                yield from _paging(member)
            elif member not in (None, "") and _turns(name, _text(member)):
                yield name, _text(member)
    elif isinstance(value, list):
        for member in value:
            yield from _paging(member)


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
