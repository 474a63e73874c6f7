"""Whose certificates are trusted: the TLS contexts of one registry."""

from __future__ import annotations

import ssl

from bundlepipe.errors import StoreError
from bundlepipe.stores.settings import NetworkSettings, RegistrySettings


def tls_context(host: str, settings: RegistrySettings, network: NetworkSettings) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, those in `SSL_CERT_FILE`, and those that were declared.

    Raises StoreError for a file that cannot be read.
    """
    if not network.verify_certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context = ssl.create_default_context()
    if settings.ca is not None:
        _trust(context, settings.ca, f", the 'ca' of registry {host},")
    for path in network.authorities:
        _trust(context, path, ", a file of certificate authorities,")
    return context


def _trust(context: ssl.SSLContext, path: str, what: str) -> None:
    # Authorities of companies are often older than what Python 3.13 demands of them; docker and imgpkg take them,
    # and take any certificate in the file for a root, as Python does from 3.13 on.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cafile=path)
    except OSError as error:
        reason = error.strerror if not isinstance(error, ssl.SSLError) else "it holds no PEM certificate"
        raise StoreError(f"'{path}'{what} cannot be used: {reason}") from None
