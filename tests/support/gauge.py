"""How much is done side by side."""

from __future__ import annotations

import math

from tests.support.proxy import Delay, Exchange, Proxy


class Gauge:
    """Measures how many requests are on their way at once through a proxy, which makes each take a while."""

    def __init__(self, proxy: Proxy, method: str, path: str) -> None:
        self.most = 0
        self._seen: list[Exchange] = []
        proxy.fault(method, path, Delay(0.05), times=math.inf, when=self._measure)

    def _measure(self, seen: Exchange) -> bool:
        # The proxy knows the status before the client knows that it is done.
        self._seen = [one for one in self._seen if one.status is None]
        self._seen.append(seen)
        self.most = max(self.most, len(self._seen))
        return True
