"""Registries that want to know who asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bcrypt

from tests.support.certificates import ServerCertificate
from tests.support.secrets import register
from tests.support.services import DIRECTORY, Registry
from tests.support.token_service import TokenService


@dataclass(frozen=True)
class Account:
    """A user and the password."""

    username: str
    password: str


ALICE = Account("alice", register("Xq7-vT2m_9RkfW+z"))
# Those who have the passwords of clouds, which last for some hours.
ROBOT = Account("AWS", register("ecr.3hY8mTqX1oBz6kRe"))
GOOGLE = Account("oauth2accesstoken", register("ya29.c0Ad6yPq8uVxTn3LrWkZs"))
IDENTITY_TOKEN = register("it.8fK2pQzL0vYn5dCw")


class PasswordRegistry(Registry):
    """A registry that wants Basic authentication, and knows `account` and those of clouds."""

    def __init__(self, directory: Path, account: Account = ALICE, *, tls: ServerCertificate | None = None) -> None:
        self.account = account
        self._passwords = directory / "htpasswd"
        self.know(account, ROBOT, GOOGLE)
        super().__init__(directory, auth={"htpasswd": {"realm": "tests", "path": f"{DIRECTORY}/htpasswd"}}, tls=tls)

    def know(self, *accounts: Account) -> None:
        """Know these from now on, and nobody else."""
        self._passwords.write_text("".join(map(_password_line, accounts)))


def _password_line(account: Account) -> str:
    # The least cost: the registry computes the hash for each request.
    hashed = bcrypt.hashpw(account.password.encode(), bcrypt.gensalt(rounds=4, prefix=b"2a")).decode()
    return f"{account.username}:{hashed}\n"


class TokenRegistry(Registry):
    """A registry that wants the tokens of the service `tokens`."""

    def __init__(self, directory: Path, tokens: TokenService) -> None:
        self.tokens = tokens
        super().__init__(directory, auth=tokens.registry_auth)

    def welcome(self, account: Account = ALICE) -> None:
        """Make the service forget all else: `account` may do everything, the anonymous pull what is `public`."""
        self.tokens.reset()
        manners = self.tokens.manners
        manners.users[account.username] = account.password
        manners.identity_tokens[IDENTITY_TOKEN] = account.username
        manners.grants.append((account.username, ".*", frozenset({"pull", "push"})))
        manners.grants.append((None, ".*/public", frozenset({"pull"})))
