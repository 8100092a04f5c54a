"""An authority for tests, and the certificates that it gives to a server on loopback and to its client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

KEY_PASSWORD = "k3y:pa55"


def make(folder: Path) -> None:
    """Write ``ca.pem``, ``broker.pem`` (key and certificate), ``client.pem`` and ``client.key`` (with a password).

    ``other.pem`` is another authority, of which nobody has a certificate.
    """
    authority, own = _authority("Authority for tests")
    stranger, _ = _authority("Another authority")
    (folder / "ca.pem").write_bytes(_text(authority))
    (folder / "other.pem").write_bytes(_text(stranger))
    key, certificate = _given("127.0.0.1", authority, own)
    (folder / "broker.pem").write_bytes(_key(key) + _text(certificate) + _text(authority))
    key, certificate = _given("client", authority, own)
    (folder / "client.pem").write_bytes(_text(certificate))
    (folder / "client.key").write_bytes(_key(key, KEY_PASSWORD))


def _authority(name: str) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    key = rsa.generate_private_key(65537, 2048)
    made = _begun(name, _name(name), key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return made.sign(key, hashes.SHA256()), key


def _given(
    name: str, authority: x509.Certificate, own: rsa.RSAPrivateKey
) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    key = rsa.generate_private_key(65537, 2048)
    made = _begun(name, authority.subject, key)
    if name == "127.0.0.1":
        made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))]), critical=False)
    return key, made.sign(own, hashes.SHA256())


def _begun(name: str, issuer: x509.Name, key: rsa.RSAPrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _text(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key(key: rsa.RSAPrivateKey, password: str = "") -> bytes:
    packed = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, packed)
