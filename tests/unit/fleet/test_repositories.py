"""The lists of repositories: formats, names, URLs that are refused, shards."""

from pathlib import Path

import pytest

from deep_lock.errors import ConfigError, UsageError
from deep_lock.fleet.records import Repository
from deep_lock.fleet.repositories import chosen, read_repositories, read_shard

URL = "https://git.example/team/app.git"


def _write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_toml_list_has_defaults(tmp_path: Path) -> None:
    text = (
        '[defaults]\nref = "main"\nexclude = ["docs"]\n'
        f'[[repositories]]\nurl = "{URL}"\n[[repositories]]\npath = "own.git"\nref = "v1"\nprojects = ["api"]\n'
    )
    assert read_repositories([_write(tmp_path, "repos.toml", text)]) == (
        Repository(name="own", url=(tmp_path / "own.git").as_uri(), ref="v1", projects=("api",), exclude=("docs",)),
        Repository(name="team/app", url=URL, ref="main", exclude=("docs",)),
    )


def test_lines_of_json_and_of_urls(tmp_path: Path) -> None:
    json = _write(tmp_path, "a.jsonl", '{"url": "ssh://git@git.example/one.git"}\n\n{"url": "git@git.example:two"}\n')
    urls = _write(tmp_path, "urls.txt", f"# those of the team\n{URL} v2\n")
    found = read_repositories([json, urls])
    assert [(own.name, own.ref) for own in found] == [("one", None), ("team/app", "v2"), ("two", None)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"url": "https://user:secret@git.example/a.git"}', "has a password or a token"),
        ('{"url": "https://token@git.example/a.git"}', "has a password or a token"),
        ('{"url": "https://user:secret@[x"}', "is not the URL"),
        ('{"url": "ftp://user:secret@git.example/a.git"}', "is not the URL"),
        ('{"url": "https://git.example/a.git?token=secret"}', "has a query or a fragment"),
        ('{"url": "https://git.example/a.git#secret"}', "has a query or a fragment"),
        ('{"url": "ext::sh -c id"}', "is not the URL"),
        ('{"url": "--upload-pack=id"}', "is not the URL"),
        ('{"url": "ftp://git.example/a.git"}', "is not the URL"),
        ('{"url": "git@git.example:-a"}', "is not the URL"),
        ('{"url": "https://git.example/a.git", "name": "../a"}', "cannot be the name"),
        ('{"url": "https://git.example/a.git", "name": "a//b"}', "cannot be the name"),
        ('{"url": "https://git.example/a.git", "ref": "--all"}', "must not begin with '-'"),
        ('{"url": "https://git.example/a.git", "branch": "main"}', "'branch' is not a known key"),
        ('{"url": "https://git.example/a.git", "path": "a"}', "url or path, and not both"),
        ('{"name": "a"}', "url or path, and not both"),
        ('{"url": 1}', "url must be a text"),
        ('{"url": "https://git.example/a.git", "projects": "api"}', "projects must be a list"),
        ("[]", "must be an object"),
        ("{", "Input data was truncated"),
    ],
)
def test_what_is_refused_is_named_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    source = _write(tmp_path, "a.jsonl", f"\n{row}\n")
    with pytest.raises(ConfigError, match=r"a\.jsonl, line 2") as caught:
        read_repositories([source])
    assert message in caught.value.message
    assert "secret" not in caught.value.message


def test_two_repositories_of_one_name_are_refused(tmp_path: Path) -> None:
    source = _write(tmp_path, "urls.txt", f"{URL}\nhttps://other.example/team/app\n")
    with pytest.raises(ConfigError, match="line 2: another repository has the name 'team/app'"):
        read_repositories([source])


def test_patterns_and_shards() -> None:
    every = [Repository(name=f"team{at % 2}/app{at}", url=URL) for at in range(40)]
    assert chosen(every, ["team1/*"], ["*/app?"], "")[0].name == "team1/app11"
    parts = [chosen(every, (), (), f"{at}/3") for at in (1, 2, 3)]
    assert sorted(own.name for part in parts for own in part) == sorted(own.name for own in every)
    assert min(map(len, parts)) > 5
    assert chosen(every[:20], (), (), "2/3") == tuple(own for own in parts[1] if own in every[:20])


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3"])
def test_a_wrong_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="must be i/n"):
        read_shard(text)
