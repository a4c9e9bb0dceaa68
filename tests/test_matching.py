"""Which requests ask the same question, although made at different times."""

import json
from typing import Any

import pytest

from mmflow_mcp.upstream.matching import is_secret, read_question

HOST = "https://api.venue.example"


def same(one: str, other: str) -> bool:
    """Whether two GET addresses on the host ask the same."""
    first, second = read_question("GET", HOST + one), read_question("GET", HOST + other)
    return first[:4] == second[:4]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/k?symbol=BTC&limit=1000", "/k?symbol=BTC"),
        ("/k?a=1&b=2", "/k?b=2&a=1"),
        ("/k?startTime=1&endTime=2", "/k?start_time=5"),
        ("/k?instId=BTC&after=1700000000000&before=17", "/k?instId=BTC"),
        ("/k?start_timestamp=1&end_timestamp=2&count_back=3", "/k"),
        ("/k?from=1700000000&to=1700001000", "/k?from=1800000000"),
        ("/k?since=2026-01-01T00:00:00Z&cursor=abc%3D", "/k"),
        ("/k?sTime=1&eTime=2&fromId=3&pageNo=2&page_size=50", "/k"),
        ("/k?symbol=", "/k?"),
        ("/k/", "/k"),
        ("/tBTCF0%3AUSTF0", "/tBTCF0:USTF0"),
        ("/k?x_cg_demo_api_key=abc", "/k"),
        ("/trades?time=hour", "/trades?time=minute"),
    ],
)
def test_paging_and_time_windows_do_not_decide(one: str, other: str) -> None:
    """Two requests that differ in these only are the same question."""
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/k?category=linear", "/k?category=inverse"),
        ("/k?symbol=BTCUSDT", "/k"),
        ("/k?interval=1m", "/k?interval=1M"),
        ("/k?period=5m", "/k?period=1h"),
        ("/k?resolution=60", "/k?resolution=1D"),
        ("/k?currency=BTC&kind=option", "/k?currency=BTC&kind=future"),
        ("/k?instType=SWAP", "/k?instType=OPTION"),
        ("/v1/latest?from=USD&to=KRW", "/v1/latest?from=USD&to=CNY"),
        ("/k?keys=ALL", "/k?keys=tBTCF0:USTF0"),
        ("/k?token_id=1", "/k?token_id=2"),
        ("/k?sort=asc", "/k?sort=desc"),
        ("/k?reverse=true", "/k"),
        ("/k?expiration=260327", "/k?expiration=260626"),
        ("/a", "/b"),
    ],
)
def test_everything_else_decides(one: str, other: str) -> None:
    """A parameter that changes what an answer means is never ignored."""
    assert not same(one, other)


def test_method_and_host_decide_and_the_port_does_not() -> None:
    """GET and POST differ, hosts differ, letters of a host and its port do not."""
    base = read_question("GET", "https://api.venue.example/x")
    assert base == read_question("get", "https://API.venue.example:8443/x")
    assert base != read_question("POST", "https://api.venue.example/x")
    assert base != read_question("GET", "https://api2.venue.example/x")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"type": "meta"}, {"type": "meta", "dex": ""}, True),
        ({"type": "meta"}, {"type": "meta", "dex": "xyz"}, False),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, True),
        ({"req": {"coin": "BTC", "startTime": 1}}, {"req": {"coin": "BTC", "endTime": 9}}, True),
        ({"req": {"coin": "BTC"}}, {"req": {"coin": "ETH"}}, False),
        ({"interval": "1h", "startTime": 1}, {"interval": "1d", "startTime": 1}, False),
        ({"coin": "BTC", "nSigFigs": None}, {"coin": "BTC"}, True),
        ({"coin": "BTC", "nSigFigs": 3}, {"coin": "BTC"}, False),
        ({"expired": False}, {"expired": 0}, False),
        ({"page": 2, "page_size": 10, "type": "perp"}, {"type": "perp"}, True),
    ],
)
def test_members_of_a_post_decide_like_parameters(one: Any, other: Any, *, expected: bool) -> None:
    """The body of a POST is compared member by member, nested ones too, in any order."""
    first, second = (
        read_question("POST", HOST + "/info", json.dumps(body).encode()) for body in (one, other)
    )
    assert expected == (first[:4] == second[:4])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("api_key", True),
        ("x_cg_demo_api_key", True),
        ("apiKey", True),
        ("access_token", True),
        ("signature", True),
        ("secretValue", True),
        ("keys", False),
        ("token_id", False),
        ("author", False),
        ("symbol", False),
    ],
)
def test_credentials_are_known_by_name(name: str, *, expected: bool) -> None:
    """Names that hold a credential are told from names that only begin so."""
    assert expected == is_secret(name)
