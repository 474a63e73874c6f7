"""Secrets are kept out of texts, in whatever form they occur."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.redaction import Redactor

SECRET = 'p&ss w<rd/"+ü\\'


def _redact(text: str, *secrets: str) -> str:
    redactor = Redactor()
    redactor.keep(*secrets)
    return redactor.redact(text)


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        urlencode({"": SECRET})[1:],
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        'p\\u0026ss w\\u003crd/\\"+ü\\\\',
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_a_secret_is_known_in_every_form(form: str) -> None:
    assert _redact(f"before {form} after", SECRET) == "before *** after"


def test_the_longer_secret_goes_first() -> None:
    assert _redact("secret-and-more secret", "secret", "secret-and-more") == "*** ***"


def test_what_is_too_short_to_be_a_secret_is_left() -> None:
    assert _redact("an abc of it", "abc", "") == "an abc of it"


@given(st.text(min_size=4))
def test_no_text_is_too_odd_to_be_kept(secret: str) -> None:
    assert secret not in _redact(f"{secret}", secret).replace("***", "")


def test_a_text_that_is_no_unicode_can_be_kept() -> None:
    assert _redact("a \udcff\udcfe\udcff\udcfe\ud800 b", "\udcff\udcfe\udcff\udcfe\ud800") == "a *** b"
