"""The keychain `gke`: Google's registries, by Google's application default credentials.

They are a key of a service account or a federated identity (`GOOGLE_APPLICATION_CREDENTIALS`), those
stored by `gcloud auth application-default login`, or the service account of the machine or pod, from
the metadata server. Sources: "Authentication methods" of Artifact Registry, and google-auth, which
finds the credentials and is imported only here.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from datetime import timezone
from functools import partial

from bundlepipe.stores.keychains.cloud import READ_TIMEOUT, expiry, failed, not_installed
from bundlepipe.stores.keychains.credentials import Credentials

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_USERNAME = "oauth2accesstoken"
# For a token without an expiry time.
_DEFAULT_LIFETIME = 600.0


class Google:
    """An access token, valid for all of Google's registries."""

    name = "gke"

    def key(self, host: str) -> Hashable:
        """Return the same key for all of Google's registries."""
        return self.name if host == "gcr.io" or host.endswith((".gcr.io", ".pkg.dev")) else None

    def fetch(self, host: str, source: str) -> Credentials:
        """Return an access token as password; Unavailable without google-auth, and without credentials of Google."""
        try:
            import google.auth
            from google.auth.exceptions import GoogleAuthError
            from google.auth.transport.requests import Request
            from requests import Session
        except ImportError:
            raise not_installed("google-auth", self.name) from None
        with Session() as session:
            try:
                found, _ = google.auth.default(scopes=[_SCOPE])
                request = partial(Request(session), timeout=READ_TIMEOUT)
                found.refresh(request)  # type: ignore[no-untyped-call]
            except (GoogleAuthError, OSError, ValueError) as error:
                raise failed(error) from None
        lifetime = _DEFAULT_LIFETIME
        if found.expiry is not None:
            lifetime = found.expiry.replace(tzinfo=timezone.utc).timestamp() - time.time()
        return Credentials(_USERNAME, str(found.token), source=source, expires=expiry(lifetime))
