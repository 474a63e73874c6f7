"""Keys and certificates for tests: an authority of their own, and servers that it vouches for."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class ServerCertificate:
    """PEM files of a server: its certificate and key, and the certificate of the authority to trust."""

    certificate: Path
    key: Path
    authority: Path

    def context(self, clients: ClientAuthority | None = None) -> ssl.SSLContext:
        """Return what the server speaks TLS with; `clients` vouches for those that it lets in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients.certificate)
        return context


def make_server_certificate(
    directory: Path, names: tuple[str, ...], *, strict: bool = True, days: tuple[int, int] = (-1, 1)
) -> ServerCertificate:
    """Write a certificate for host names and addresses, and the authority that signed it, below `directory`.

    Without `strict` the certificates lack what RFC 5280 wants and few programs need. The
    server's is valid from and to so many `days` from now.
    """
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = self_signed(authority_key, "test authority", strict=strict)
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    builder = _builder("test server", "test authority", key, days).add_extension(alternatives, critical=False)
    if strict:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        builder = builder.add_extension(issuer, critical=False)
    certificate = builder.sign(authority_key, hashes.SHA256())
    files = ServerCertificate(directory / "server.pem", directory / "server.key", directory / "authority.pem")
    files.certificate.write_bytes(pem(certificate))
    files.key.write_bytes(_key_pem(key))
    files.authority.write_bytes(pem(authority))
    return files


def make_self_signed_server(directory: Path, names: tuple[str, ...]) -> ServerCertificate:
    """Write a certificate that no authority has signed, and which is no authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    builder = _builder("test server", "test server", key).add_extension(alternatives, critical=False)
    path = directory / "server.pem"
    files = ServerCertificate(path, directory / "server.key", path)
    path.write_bytes(pem(builder.sign(key, hashes.SHA256())))
    files.key.write_bytes(_key_pem(key))
    return files


class ClientAuthority:
    """Vouches for clients; a server that trusts `certificate` knows them."""

    def __init__(self, directory: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = directory / "clients.pem"
        self.certificate.write_bytes(pem(self_signed(self._key, "client authority")))

    def issue(self, directory: Path, name: str = "client", *, password: str = "") -> None:
        """Write `NAME.cert` and `NAME.key`, which may want a password, into a directory."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = _builder(name, "client authority", key).add_extension(usage, critical=False)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{name}.cert").write_bytes(pem(builder.sign(self._key, hashes.SHA256())))
        (directory / f"{name}.key").write_bytes(_key_pem(key, password))


def self_signed(key: PrivateKey, name: str, *, strict: bool = True) -> x509.Certificate:
    """Return the certificate of an authority."""
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    builder = _builder(name, name, key).add_extension(constraints, critical=True)
    if strict:
        usage = {name: name in ("digital_signature", "key_cert_sign", "crl_sign") for name in _KEY_USAGES}
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        subject = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(subject, critical=False)
    return builder.sign(key, hashes.SHA256())


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: PrivateKey, password: str = "") -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _builder(subject: str, issuer: str, key: PrivateKey, days: tuple[int, int] = (-1, 1)) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
