"""A scheduler and workers of Dask as processes on loopback, with certificates of an authority of their own."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DASK = (sys.executable, "-m", "dask")
WAIT_SECONDS = 60


def make_certificates(folder: Path) -> tuple[str, ...]:
    """Write an authority and a certificate with its key; return the options of Dask that name them."""
    folder.mkdir()
    authority_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fleet test")])
    authority = _signed(name, name, authority_key, authority_key, is_authority=True)
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = _signed(own, name, key, authority_key, is_authority=False)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return _tls_options(folder)


def _tls_options(folder: Path) -> tuple[str, ...]:
    """Return the options of Dask that name the certificates."""
    names = {"--tls-ca-file": "ca", "--tls-cert": "cert", "--tls-key": "key"}
    return tuple(part for option, name in names.items() for part in (option, str(folder / f"{name}.pem")))


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    authority_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


@contextmanager
def cluster(
    folder: Path, environ: Mapping[str, str], *, workers: int, resources: str, other: str = ""
) -> Iterator[tuple[str, Path]]:
    """Run a scheduler and workers; yield its address, and the folder of the certificates.

    ``other`` are the resources of one worker more, which has the cache folder ``other-cache``.
    """
    options = make_certificates(folder / "tls")
    file = folder / "scheduler.json"
    with ExitStack() as ends:
        common = ("--scheduler-file", str(file), *options)
        _start(
            ends,
            [
                "scheduler",
                "--host",
                "tls://127.0.0.1",
                "--port",
                "0",
                "--no-dashboard",
                "--dashboard-address",
                "127.0.0.1:0",
                *common,
            ],
            environ,
            folder / "scheduler.log",
        )
        for number in range(workers):
            ends.enter_context(worker(folder, environ, number, resources))
        if other:
            variables = {**environ, "DEEP_LOCK_CACHE_DIR": str(folder / "other-cache")}
            ends.enter_context(worker(folder, variables, workers, other))
        yield _address(file, folder), folder / "tls"


@contextmanager
def worker(
    folder: Path, environ: Mapping[str, str], number: int, resources: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker of the scheduler in the folder of `cluster`, until the end of the block or a kill; yield its process when it is known there."""
    tls = folder / "tls"
    arguments = ["worker", "--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--no-nanny", "--host", "127.0.0.1"]
    arguments += ["--dashboard-address", "127.0.0.1:0"]
    arguments += ["--protocol", "tls", "--scheduler-file", str(folder / "scheduler.json"), *_tls_options(tls)]
    arguments += ["--resources", resources] if resources else []
    with ExitStack() as ends:
        log = folder / f"worker{number}.log"
        process = _start(ends, arguments, environ, log)
        _await_registered(log)
        yield process


def _start(ends: ExitStack, arguments: list[str], environ: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    output = ends.enter_context(log.open("wb"))
    process = subprocess.Popen([*DASK, *arguments], env=dict(environ), stdout=output, stderr=output)
    ends.callback(process.wait, WAIT_SECONDS)
    ends.callback(process.terminate)
    return process


def descendants(pid: int, command: str) -> list[int]:
    """Return the processes below this one whose command line has this text."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    found, added = {pid}, {pid}
    while added:
        added = {int(own) for own, parent, _ in rows if int(parent) in added}
        found |= added
    return [int(own) for own, _, args in rows if int(own) in found and command in args]


def _address(file: Path, folder: Path) -> str:
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        if file.exists() and file.stat().st_size:
            return str(json.loads(file.read_text(encoding="utf-8"))["address"])
        time.sleep(0.1)
    raise TimeoutError((folder / "scheduler.log").read_text(encoding="utf-8"))


def _await_registered(log: Path) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        if b"Registered to" in log.read_bytes():
            return
        time.sleep(0.1)
    raise TimeoutError(log.read_text(encoding="utf-8"))
