"""Who the user is to an index: from the environment, from the index URL, from netrc. Pure given its inputs.

Law: a login belongs to the origin (scheme, host, port) of one configured index and is given for no other; no secret
has a printable form. The keyring is not asked: it needs a subprocess, and this room may not start one.
"""

import base64
import netrc
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from deep_lock.errors import ConfigError, UrlForbidden
from deep_lock.network.urls import Origin, Url, read_url, shown_text, without_user_info


class Secret:
    """A text that shows itself only when asked by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: only for the wire."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Login(Struct, frozen=True, kw_only=True):
    """A login and where it counts. ``path`` tells two indexes of one origin apart."""

    origin: Origin
    path: str
    authorization: Secret
    """The value of the Authorization header (RFC 7617, Basic)."""


class Credentials(Struct, frozen=True, kw_only=True):
    """All logins of a run."""

    grants: tuple[Login, ...] = ()


NO_CREDENTIALS = Credentials()


def authorization_for(credentials: Credentials, url: Url) -> Secret | None:
    """The Authorization header for a URL, or None.

    Of several grants for the URL's origin the one with the longest fitting path counts; files often live beside the
    index and not below it, so where no path fits the first grant does.
    """
    grants = [grant for grant in credentials.grants if grant.origin == url.origin]
    if not grants:
        return None
    fitting = [grant for grant in grants if url.path.startswith(grant.path)]
    best = max(fitting, key=lambda grant: len(grant.path)) if fitting else grants[0]
    return best.authorization


def gather_credentials(
    indexes: Mapping[str, str], *, environ: Mapping[str, str], netrc_file: Path | None = None
) -> Credentials:
    """Collect the logins of the configured indexes (name to URL; the URL may carry user-info).

    First found wins: ``DEEP_LOCK_INDEX_<NAME>_USERNAME/_PASSWORD``, the URL's user-info, the netrc entry that names
    the host (its ``default`` entry would tell every index a password, so it is not used). A missing netrc file is no
    error. Raises ConfigError for a netrc file or an index URL that cannot be read.
    """
    hosts = _read_netrc(netrc_file) if netrc_file is not None else None
    grants = []
    for name, text in indexes.items():
        try:
            url = read_url(without_user_info(text))
        except UrlForbidden as error:
            raise ConfigError(f"index {name!r}: {error.message}", hint=error.hint) from None
        login = _from_environ(name, environ) or _from_url(text)
        if hosts is not None and (login is None or not login[1]):
            login = _from_netrc(hosts, url.host, login) or login
        if login is not None:
            grants.append(Login(origin=url.origin, path=url.path, authorization=_basic(*login)))
    return Credentials(grants=tuple(grants))


def _basic(username: str, password: str) -> Secret:
    pair = f"{username}:{password}".encode()
    return Secret(f"Basic {base64.b64encode(pair).decode('ascii')}")


def _from_environ(name: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    prefix = "DEEP_LOCK_INDEX_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
    username, password = environ.get(f"{prefix}_USERNAME", ""), environ.get(f"{prefix}_PASSWORD", "")
    return (username, password) if username or password else None


def _from_url(text: str) -> tuple[str, str] | None:
    user_info, at, _ = urlsplit(text).netloc.rpartition("@")
    if not at:
        return None
    username, _, password = user_info.partition(":")
    return unquote(username), unquote(password)


def _read_netrc(path: Path) -> netrc.netrc | None:
    try:
        return netrc.netrc(str(path))
    except FileNotFoundError:
        return None
    except netrc.NetrcParseError as error:
        # Its message quotes the bad token, which may be a password.
        raise ConfigError(f"{shown_text(str(path))}, line {error.lineno}: not in netrc form") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{shown_text(str(path))}: cannot be read ({type(error).__name__})") from None


def _from_netrc(hosts: netrc.netrc, host: str, known: tuple[str, str] | None) -> tuple[str, str] | None:
    """The entry of a host; where the user name is known already, only if it is the same user's."""
    entry = hosts.hosts.get(host)
    if entry is None:
        return None
    username, _, password = entry
    return (username, password) if known is None or known[0] == username else None
