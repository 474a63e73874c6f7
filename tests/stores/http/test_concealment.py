"""What of HTTP messages is shown, and what is not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.stores.http.concealment import conceal_body, conceal_header, conceal_url

# An URL of a storage service as registries hand it out.
SIGNED = "https://storage.example/blobs/data?X-Amz-Date=1&X-Amz-Credential=SECRET&X-Amz-Signature=SECRET%2B"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://r.example/v2/app/manifests/1.0", "https://r.example/v2/app/manifests/1.0"),
        (
            "https://r.example/v2/?n=10&last=a%2Fb&digest=sha256:1",
            "https://r.example/v2/?n=10&last=a%2Fb&digest=sha256:1",
        ),
        ("https://r.example/x?_state=SECRET&digest=sha256:1", "https://r.example/x?_state=***&digest=sha256:1"),
        ("/v2/app/blobs/uploads/1?_state=SECRET", "/v2/app/blobs/uploads/1?_state=***"),
        ("https://u:SECRET@r.example/x", "https://***@r.example/x"),
        ("https://SECRET@r.example", "https://***@r.example"),
        ("https://r.example/x?SECRET", "https://r.example/x?***"),
        ("https://r.example/x?n=1;sig=SECRET", "https://r.example/x?n=1;sig=***"),
        ("https://r.example/x#access_token=SECRET", "https://r.example/x#***"),
        ("https://a,https://u:SECRET@b/", "https://a,https://***@b/"),
        (SIGNED, "https://storage.example/blobs/data?X-Amz-Date=***&X-Amz-Credential=***&X-Amz-Signature=***"),
        ("http://[::1/SECRET", "***"),
    ],
)
def test_urls_are_shown_without_secrets(url: str, shown: str) -> None:
    assert conceal_url(url) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Content-Type", "application/json; charset=utf-8", "application/json; charset=utf-8"),
        ("Docker-Content-Digest", "sha256:1", "sha256:1"),
        ("ETag", '"sha256:1"', '"sha256:1"'),
        ("Authorization", "Basic SECRET", "Basic ***"),
        ("authorization", "Bearer SECRET", "Bearer ***"),
        ("Authorization", "SECRET", "***"),
        ("Proxy-Authorization", "Basic SECRET", "Basic ***"),
        ("Set-Cookie", "session=SECRET; path=/", "***"),
        ("Cookie", "session=SECRET", "***"),
        ("X-Registry-Auth", "SECRET", "***"),
        ("X-Amz-Security-Token", "SECRET", "***"),
        ("X-JFrog-Art-Api", "visible", "visible"),
        ("X-Api-Key", "SECRET", "***"),
        ("Location", "/v2/app/blobs/uploads/1?_state=SECRET", "/v2/app/blobs/uploads/1?_state=***"),
        ("Link", '</v2/app/tags/list?last=b&n=2>; rel="next"', '</v2/app/tags/list?last=b&n=2>; rel="next"'),
        ("Link", f'<{SIGNED}>; rel="a", <https://x/?y=SECRET>; rel="b"', None),
        (
            "WWW-Authenticate",
            'Bearer realm="https://t.example/token?key=SECRET",service="r.example",scope="repository:a:pull",nonce="SECRET"',
            'Bearer realm="https://t.example/token?key=***",service="r.example",scope="repository:a:pull",nonce="***"',
        ),
        ("WWW-Authenticate", 'Negotiate SECRET, Basic realm="r"', 'Negotiate, Basic realm="r"'),
    ],
)
def test_headers_are_shown_without_secrets(name: str, value: str, shown: str | None) -> None:
    concealed = conceal_header(name, value)

    assert "SECRET" not in concealed
    assert shown is None or concealed == shown


@pytest.mark.parametrize(
    ("media_type", "body", "shown"),
    [
        ("application/json", '{ "errors": [{"code":"DENIED"}] }', '{ "errors": [{"code":"DENIED"}] }'),
        ("application/vnd.oci.image.index.v1+json", '{"manifests":[]}', '{"manifests":[]}'),
        ("application/vnd.oci.image.manifest.v1+json; x=y", '{"annotations":{"authors":"me"}}', None),
        ("application/json", '{"token": "SECRET", "expires_in": 60}', '{"token": "***", "expires_in": 60}'),
        ("application/json", '{"access_token":"SECRET"}', '{"access_token": "***"}'),
        ("application/json", '{"auths":{"r":{"auth":"SECRET"}}}', '{"auths": "***"}'),
        ("application/json", '[{"a":{"identitytoken":["SECRET"]}}]', '[{"a": {"identitytoken": "***"}}]'),
        ("application/json", '{"password":null}', '{"password":null}'),
        ("application/json", '{"a":"https://x?sig=SECRET","a":"b"}', '{"a": "b"}'),
        ("application/json", '{"a":"https://x?n=1\\u0026sig=SECRET"}', '{"a": "https://x?n=1&sig=***"}'),
        ("application/json", '{"https://u:hidden@x": 1}', '{"https://***@x": 1}'),
        ("application/json", '"https://u:SECRET@x"', '"https://***@x"'),
        ("text/plain; charset=utf-8", "404 page not found\n", "404 page not found\n"),
        ("text/plain", "see https://x?sig=SECRET there", "see https://x?sig=*** there"),
        ("text/plain", '{"token": "SECRET"}', '{"token": "***"}'),
    ],
)
def test_bodies_are_shown_without_secrets(media_type: str, body: str, shown: str | None) -> None:
    assert conceal_body(body.encode(), media_type) == (body if shown is None else shown)


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("", b"{}"),
        ("text/html", b"<p>SECRET</p>"),
        ("application/octet-stream", b"{}"),
        ("application/json", b"no JSON"),
        ("application/json", b"[" * 100_000),
        ("text/plain", b"\xff\xfe"),
    ],
)
def test_other_bodies_are_not_shown(media_type: str, body: bytes) -> None:
    assert conceal_body(body, media_type) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)


@given(JSON)
def test_any_json_is_shown_as_json(document: object) -> None:
    shown = conceal_body(json.dumps(document).encode(), "application/json")

    assert shown is not None
    json.loads(shown)


@given(st.text(), st.text())
def test_any_header_has_a_form_to_show(name: str, value: str) -> None:
    conceal_header(name, value)
    conceal_header("WWW-Authenticate", value)
