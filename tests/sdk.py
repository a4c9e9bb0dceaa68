"""A tiny client of our own that asks as the published Python client library does.

Parameters that are None or "" are left out and 0 is kept; lists are joined by commas and escaped;
candles lie outside `/api/v1`, below the text before the last `/api/`. No key is ever sent.
"""

import json
import math
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

OPENER = build_opener(ProxyHandler({}))
AGENT = "mmflow-python-sdk/0.1"


@dataclass
class ApiResponse:
    """An envelope."""

    data: Any
    meta: dict[str, Any] = field(default_factory=dict)


class ApiError(Exception):
    """An answer that is none; `body` is None when it is no JSON."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body


class Sdk:
    """The client."""

    def __init__(self, base_url: str, timeout: float = 15.0) -> None:
        self._base = base_url.rstrip("/")
        self._root = self._base.rsplit("/api/", 1)[0]
        self._timeout = timeout

    def _fetch(self, url: str, params: dict[str, Any]) -> Any:
        given = {
            name: ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            for name, value in params.items()
            if value is not None and value != ""
        }
        query = f"?{urlencode(given)}" if given else ""
        request = Request(url + query, headers={"User-Agent": AGENT, "Accept": "application/json"})  # noqa: S310 - loopback
        try:
            with OPENER.open(request, timeout=self._timeout) as answer:
                return json.loads(answer.read().decode("utf-8"))
        except HTTPError as error:
            with error:
                text = error.read().decode("utf-8", "replace")
            try:
                body = json.loads(text)
            except ValueError:
                body = None
            raise ApiError(error.code, body) from None

    def get(self, path: str, params: dict[str, Any] | None = None) -> ApiResponse:
        """Any path below the base."""
        found = self._fetch(self._base + path, params or {})
        return ApiResponse(found.get("data"), found.get("meta", {}))

    def openapi(self) -> Any:
        """The document as it is."""
        return self._fetch(self._base + "/openapi", {})

    def candles(self, coin: str, interval: str = "1m", hours: float = 72) -> list[dict[str, float]]:
        """Candles; a row that is no six numbers is skipped."""
        asked = {"coin": coin, "interval": interval, "hours": hours}
        found = self._fetch(f"{self._root}/api/hl/candles", asked)
        rows = []
        for row in found.get("candles", []):
            try:
                one = {name: float(row[name]) for name in "tohlcv"}
            except (KeyError, TypeError, ValueError):
                continue
            if all(math.isfinite(value) for value in one.values()):
                rows.append(one)
        return rows
