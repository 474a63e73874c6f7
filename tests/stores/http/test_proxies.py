"""HTTP_PROXY, HTTPS_PROXY and NO_PROXY."""

from __future__ import annotations

import pytest

from bundlepipe.stores.http.proxies import proxy_for

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({}, "http://r.example/", None),
        ({"HTTP_PROXY": PROXY}, "http://r.example/", PROXY),
        ({"HTTP_PROXY": PROXY}, "https://r.example/", None),
        ({"HTTPS_PROXY": PROXY}, "https://r.example/", PROXY),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "https://r.example/", PROXY),
        ({"HTTPS_PROXY": "http://other", "https_proxy": PROXY}, "https://r.example/", PROXY),
        ({"HTTPS_PROXY": "  "}, "https://r.example/", None),
        ({"HTTP_PROXY": PROXY}, "http://10.1.2.3/", PROXY),
    ],
)
def test_the_environment_names_the_proxy(environ: dict[str, str], url: str, expected: str | None) -> None:
    assert proxy_for(url, environ) == expected


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:5000",
        "a.localhost:5000",
        "127.0.0.1",
        "127.1.2.3:80",
        "[::1]:5000",
        "[::ffff:127.0.0.1]",
    ],
)
def test_loopback_is_never_proxied(host: str) -> None:
    assert proxy_for(f"http://{host}/", {"HTTP_PROXY": PROXY}) is None


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("*", "r.example", True),
        ("r.example", "r.example", True),
        ("r.example", "R.Example:5000", True),
        ("r.example", "sub.r.example", True),
        ("r.example", "other-r.example", False),
        (".r.example", "sub.r.example", True),
        (".r.example", "r.example", False),
        ("*.r.example", "sub.r.example", True),
        ("r.example:5000", "r.example:5000", True),
        ("r.example:5000", "r.example", False),
        ("r.example:80", "r.example", True),
        ("a.example, r.example", "r.example", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "r.example", False),
        ("10.1.2.3", "10.1.2.3:5000", True),
        ("10.1.2.3:5000", "10.1.2.3:5001", False),
        ("fd00::/8", "[fd00::1]:5000", True),
        ("fd00::1", "[fd00::1]:5000", True),
        ("[fd00::1]:5000", "[fd00::1]:5000", True),
        ("1.2.3.4/nonsense", "1.2.3.4", False),
        ("", "r.example", False),
    ],
)
def test_no_proxy_lists_what_is_reached_directly(no_proxy: str, host: str, direct: bool) -> None:
    found = proxy_for(f"http://{host}/", {"HTTP_PROXY": PROXY, "NO_PROXY": no_proxy})

    assert found == (None if direct else PROXY)
