"""Who may be asked next, and who is told a password: 401 and 403 end a run, and a login stays with its origin."""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer, redirect, reply
from tests.support.fault_world import ALPHA, BETA, FILES, JSON, PROJECT, Desk, Ended, desk, file_path, page, people

TOKEN = "planted-t0ken"  # noqa: S105 - made up, so that it can be searched for
BASIC = "Basic " + base64.b64encode(f"user:{TOKEN}".encode()).decode()

Way = Callable[[str], tuple[str, Mapping[str, str]]]


def _assert_untold(own: Desk, ended: Ended) -> None:
    """The password is in no output and no file that deep-lock wrote."""
    secrets = (TOKEN, BASIC.removeprefix("Basic "))
    assert not [secret for secret in secrets if secret in ended.stdout + ended.stderr]
    written = [path for secret in secrets for path in own.files_with(secret.encode())]
    assert [path for path in written if path.name not in {"pyproject.toml", ".netrc", "wishes.txt"}] == []


def _told(server: FaultServer) -> set[str | None]:
    return {asked.headers.get("authorization") for asked in server.requests}


def _with_login(url: str) -> str:
    return url.replace("://", f"://user:{TOKEN}@")


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "410 Gone", "500 Oops", "302 Found"])
def test_only_a_404_leads_to_the_next_index(tmp_path: Path, status: str) -> None:
    own = desk(tmp_path)
    with FaultServer() as private, FaultServer() as public:
        private.script("/simple/alpha/", reply(b"", status=status))
        ended = own.make_lock(people(public), "--index", f"private={private.base}/simple/")
        assert ended.code == 3
        assert f"{private.base}/simple/alpha/: " in ended.stderr
        assert public.requests == []
        assert not own.lock.exists()


def test_a_404_leads_to_the_next_index(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as private, FaultServer() as public:
        ended = own.make_lock(people(public), "--index", f"private={people(private, names=['alpha'])}")
        assert ended.code == 0, ended.stderr
        assert public.count("/simple/alpha/") == 0
        assert private.count("/simple/beta/") == public.count("/simple/beta/") == 1


def _by_url(url: str) -> tuple[str, Mapping[str, str]]:
    return _with_login(url), {}


def _by_environment(url: str) -> tuple[str, Mapping[str, str]]:
    return url, {"DEEP_LOCK_INDEX_PRIVATE_USERNAME": "user", "DEEP_LOCK_INDEX_PRIVATE_PASSWORD": TOKEN}


@pytest.mark.parametrize("way", [_by_url, _by_environment])
def test_a_login_goes_to_its_origin_only(tmp_path: Path, way: Way) -> None:
    own = desk(tmp_path)
    with FaultServer() as private, FaultServer() as public:
        # alpha's file and gamma's page are on the other origin; so is what a redirect leads to
        public_url = people(public, names=["beta", "gamma"])
        public.script(file_path(ALPHA), reply(FILES[ALPHA]))
        private_url = people(private, names=["alpha", "beta"])
        private.script("/simple/alpha/", reply(page("alpha", ALPHA, files=public.base), headers=[JSON]))
        private.script(file_path(BETA), redirect(public.base + file_path(BETA)))
        url, environ = way(private_url)
        ended = own.make_lock(public_url, "--index", f"private={url}", environ=environ)
        assert ended.code == 0, ended.stderr
        assert _told(private) == {BASIC}
        assert _told(public) == {None}
        assert public.count(file_path(ALPHA)) == public.count(file_path(BETA)) == 1
    _assert_untold(own, ended)


def test_netrc_serves_the_index_that_it_names(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as private:
        netrc = own.project / ".netrc"
        netrc.write_text(f"machine 127.0.0.1 login user password {TOKEN}\n", encoding="utf-8")
        netrc.chmod(0o600)
        ended = own.make_lock(people(private), environ={"NETRC": str(netrc)})
        assert ended.code == 0, ended.stderr
        assert _told(private) == {BASIC}
    _assert_untold(own, ended)


def test_a_netrc_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as public:
        ended = own.make_lock(people(public), environ={"NETRC": "no/netrc"})
    assert ended.code == 0
    assert "warning: NETRC: names no/netrc, which does not exist" in ended.stderr


@pytest.mark.parametrize(
    "location", ["http://{user}@127.0.0.1:{port}/simple/", "http://127.0.0.1:1/{user}", "ftp://{user}@h.example/"]
)
def test_a_redirect_does_not_say_the_password_aloud(tmp_path: Path, location: str) -> None:
    own = desk(tmp_path)
    with FaultServer() as private, FaultServer() as public:
        private.script("/simple/alpha/", redirect(location.format(user=f"user:{TOKEN}", port=public.port)))
        ended = own.make_lock(_with_login(f"{private.base}/simple/"))
        assert ended.code in {3, 4}
        assert public.requests == []
    if "@" in location:
        _assert_untold(own, ended)


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "500 Oops"])
def test_a_refusal_does_not_say_the_password_aloud(tmp_path: Path, status: str) -> None:
    own = desk(tmp_path)
    with FaultServer() as private:
        private.script("/simple/alpha/", reply(b"", status=status))
        _assert_untold(own, own.make_lock(_with_login(f"{private.base}/simple/")))


URLS = (
    "ftp://user:{}@h.example/simple/",
    "http://user:{}@[::1",
    "http://user:{}@127.0.0.1:99999/simple/",
    "http://user:{}@127.0.0.1:port/",
    "user:{}@host.example/simple",
    "http://user:{}@ho st/",
    "http:///user:{}@x/",
    "http://h.example/simple/?token={}",
    "http://h.example/simple/#{}",
)


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_cannot_be_used_does_not_say_the_password_aloud(tmp_path: Path, url: str) -> None:
    own = desk(tmp_path)
    ended = own.make_lock(url.format(TOKEN))
    assert ended.code == 2
    _assert_untold(own, ended)
    assert not own.lock.exists()


WISHES = (
    "alpha @ https://user:{}@h.example/alpha-1.0-py3-none-any.whl",
    "alpha @ git+https://{}@h.example/alpha",
    "alpha[ @ https://user:{}@h.example/",
)


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("kind", ["pyproject", "requirements", "metadata"])
def test_a_requirement_does_not_say_the_password_aloud(tmp_path: Path, kind: str, wish: str) -> None:
    own = desk(tmp_path)
    text, more = wish.format(TOKEN), list[str]()
    with FaultServer() as server:
        url = people(server)
        if kind == "pyproject":
            (own.project / "pyproject.toml").write_text(PROJECT.replace("alpha", text), encoding="utf-8")
        elif kind == "requirements":
            (own.project / "wishes.txt").write_text(f"gamma\n{text}\n", encoding="utf-8")
            more = ["-r", "wishes.txt"]
        if kind != "metadata":
            more.append("--offline")  # what a URL leads to is asked for, and no test reaches out
        else:
            metadata = FILES[ALPHA] + f"Requires-Dist: {text}\n".encode()
            server.script("/simple/alpha/", reply(page("alpha", ALPHA, promised=metadata), headers=[JSON]))
            server.script(file_path(ALPHA), reply(metadata))
        ended = own.make_lock(url, *more)
    assert ended.code in {1, 2, 3}
    assert not own.lock.exists()
    spoken = ended.stdout + ended.stderr
    assert TOKEN not in spoken, spoken
