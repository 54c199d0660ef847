"""Which certificate authorities are trusted, and which certificate the client shows."""

import ssl
import sys
import threading
from pathlib import Path

import certifi
import truststore

from deep_lock.errors import ConfigError, raise_machine_fault
from deep_lock.files import open_regular
from deep_lock.network.urls import shown_text

SYSTEM_STORES = (
    "/etc/ssl/cert.pem",  # Alpine, Arch, Fedora, BSD
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/cert.pem",  # older Fedora, RHEL
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu
    "/etc/ssl/ca-bundle.pem",  # SUSE
)
"""Where systems keep their authorities, for a Python whose OpenSSL was built to look elsewhere."""


def _trusting_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that trusts the authorities of ``ca_file`` (a PEM file or a folder), else those of the system.

    A system without any, such as a minimal container, gets those of certifi. Raises ConfigError.
    """
    if ca_file is None:
        return _system_context()
    try:
        if Path(ca_file).is_dir():
            return ssl.create_default_context(capath=ca_file)
        open_regular(ca_file).close()
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise_machine_fault(error)
        raise ConfigError(
            f"{shown_text(ca_file)}: no certificates can be read from it ({shown_text(str(error))})",
            hint="--cert and SSL_CERT_FILE name a PEM file, SSL_CERT_DIR a folder",
        ) from None


def _system_context() -> ssl.SSLContext:
    # Only there: on Linux it reads the store again for each connection (22 ms), and holds one lock for all threads
    # while a server shakes hands.
    if sys.platform in {"darwin", "win32"}:
        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    default = ssl.get_default_verify_paths()
    file = next((path for path in (default.openssl_cafile, *SYSTEM_STORES) if Path(path).is_file()), None)
    folder = default.openssl_capath if any(Path(default.openssl_capath).glob("*.[0-9]")) else None
    return ssl.create_default_context(cafile=file if file or folder else certifi.where(), capath=folder)


def _unchecked_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _load_client_cert(context: ssl.SSLContext, path: str) -> None:
    try:
        open_regular(path).close()
        # An empty password: for an encrypted key, OpenSSL would prompt on the terminal.
        context.load_cert_chain(path, password="")
    except (OSError, ValueError) as error:
        raise_machine_fault(error)
        raise ConfigError(
            f"{shown_text(path)}: no client certificate can be read from it ({shown_text(str(error))})",
            hint="--client-cert names a PEM file with the certificate and its private key, without a password",
        ) from None


class TlsContexts:
    """The TLS contexts of a client, which its threads share: reading the authorities takes 20 ms."""

    def __init__(self, ca_file: str | None) -> None:
        self._ca_file = ca_file
        self._lock = threading.Lock()
        self._contexts: dict[tuple[bool, str | None], ssl.SSLContext] = {}

    def context(self, *, checked: bool, client_cert: str | None = None) -> ssl.SSLContext:
        """Return the context for servers whose certificates are checked, or for the others.

        ``client_cert`` is a PEM file with the certificate that the client shows and its private key. Raises ConfigError.
        """
        key = (checked, client_cert)
        with self._lock:
            if key not in self._contexts:
                context = _trusting_context(self._ca_file) if checked else _unchecked_context()
                if client_cert is not None:
                    _load_client_cert(context, client_cert)
                self._contexts[key] = context
            return self._contexts[key]


def not_a_pair(cert: str, key: str) -> str:
    """Return why a certificate and a key, both PEM files, cannot be used together; empty where they can."""
    try:
        # an empty password: OpenSSL would prompt for that of an encrypted key
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        return error.reason or str(error)
    except OSError as error:
        raise_machine_fault(error)
        return error.strerror or str(error)
    return ""
