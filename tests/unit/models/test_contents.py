"""Which files take effect when Python starts."""

import pytest

from deep_lock.models.contents import runs_at_start


@pytest.mark.parametrize(
    ("path", "runs"),
    [
        ("evil.pth", True),
        ("EVIL.START", True),
        ("pkg/model.pth", False),
        ("sitecustomize.py", True),
        ("usercustomize.cpython-313-x86_64-linux-gnu.so", True),
        ("sitecustomize", True),
        ("sitecustomize/below/part.py", True),
        ("sitecustomize-1.0.dist-info/METADATA", False),
        ("sitecustomize.txt", False),
        ("pkg/sitecustomize.py", False),
    ],
)
def test_what_runs_at_start_is_at_the_top_of_the_folder_of_packages(path: str, *, runs: bool) -> None:
    assert runs_at_start(path) is runs
