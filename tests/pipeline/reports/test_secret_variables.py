"""What counts as a secret in the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundlepipe.pipeline.reports.secrets import secrets_of

SECRET = "c3cr3t-Value"


@pytest.mark.parametrize(
    "name",
    [
        "REGISTRY_PASSWORD", "PASSWD", "SSH_PASSPHRASE", "PASSCODE", "DB_PASS", "PGPASS", "db_pass_1",
        "MYSQL_PWD", "CLIENT_SECRET", "SECRETS", "GITHUB_TOKEN", "npm_config__authToken", "CREDENTIALS",
        "AWS_CREDS", "MY_CRED", "SIGNING_KEY", "API_KEY", "APIKEY", "KEY", "AWS_SECRET_ACCESS_KEY",
        "SSH_PRIVATE_KEYS", "AUTH", "NPM_AUTH", "DOCKER_AUTH_CONFIG", "BASICAUTH", "AUTHORIZATION",
        "AUTHORISATION", "GH_PAT", "PAT", "SESSION_JWT", "HTTP_COOKIE", "SLACK_WEBHOOK_URL",
    ],
)  # fmt: skip
def test_values_of_variables_that_are_named_secret_are_secrets(name: str) -> None:
    assert set(secrets_of({name: SECRET})) == {SECRET}


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "GIT_AUTHOR_NAME",
        "XAUTHORITY",
        "PWD",
        "OLDPWD",
        "KEYBOARD",
        "PASSENGER",
        "PATTERN",
        "COMPAT",
        "CREDITS",
        "HOME",
    ],
)
def test_values_of_other_variables_are_none(name: str) -> None:
    assert not list(secrets_of({name: SECRET}))


def test_short_values_and_paths_of_files_are_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "key.pem"
    path.touch()
    given = {"A_TOKEN": "12345", "A_KEY": str(path), "B_KEY": "./key.pem"}
    assert not list(secrets_of(given))
    given = {"A_TOKEN": "123456", "B_TOKEN": "/abcDEF", "C_TOKEN": "abc/DEF", "D_TOKEN": "key.pem"}
    assert set(secrets_of(given)) == {"123456", "/abcDEF", "abc/DEF", "key.pem"}


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        ("postgres://shop:pass%2Fword@db.example:5432/shop", {"pass%2Fword", "pass/word"}),
        ("http://user:p@ssword@proxy.example:3128", {"p@ssword"}),
        ("http://a:secret1@one.example, http://b:secret2@two.example/@x", {"secret1", "secret2"}),
        ("https://ghp_0123456789abcdefghij@github.com/a/b", {"ghp_0123456789abcdefghij"}),
        ("https://ghp_0123456789abcdefghij:@github.com/a/b", {"ghp_0123456789abcdefghij"}),
        ("ssh://somebody@host.example/x", set()),
        ("https://registry.example/@scope:password/x", set()),
        ("jdbc:postgresql://db.example/shop?user=shopper&password=hunter22&ssl=true", {"hunter22"}),
        ("Server=db.example;Uid=shopper;Pwd=something;Password=hunter22;", {"hunter22"}),
        ("-Xmx1g -Ddb.password=hunter22 -Dname=something", {"hunter22"}),
        ('{"auths": {"registry.example": {"username": "shopper", "auth": "c2hvcHBlcjp4"}}}', {"c2hvcHBlcjp4"}),
        ('{"keys": ["abcdef", {"name": "something"}], "number": 1}', {"abcdef"}),
        ("{password: no JSON}", set()),
        ("user:password@host.example", set()),
    ],
)  # fmt: skip
def test_secrets_inside_of_other_values_are_found(value: str, secrets: set[str]) -> None:
    assert set(secrets_of({"SOMETHING": value})) == secrets


def test_lines_of_a_secret_are_secrets_too() -> None:
    value = "-----BEGIN KEY-----\n  abcdef  \r\nghi\n\n-----END KEY-----\n"
    assert set(secrets_of({"A_KEY": value})) == {
        value, value.strip(), "-----BEGIN KEY-----", "abcdef", "-----END KEY-----"
    }  # fmt: skip
