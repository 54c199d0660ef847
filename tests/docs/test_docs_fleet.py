"""The simulation in docs/guides/fleet.md, and the program in docs/guides/fleet-delivery.md."""

import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from tests.support.fleet_simulation import Costs, bound, rows, simulate
from tests.support.paths import ROOT


def test_the_table_is_that_of_the_simulation() -> None:
    page = (ROOT / "docs" / "guides" / "fleet.md").read_text(encoding="utf-8")
    for row in rows(0.05, (1, 64)):
        assert row in page.splitlines()
    costs = Costs()
    assert f"repository takes {costs.task} s" in " ".join(page.split())
    assert f"{costs.view * 1000:.0f} ms for each new lock" in page


def test_a_run_is_no_shorter_than_its_bounds() -> None:
    costs = Costs(requests_per_second=1000.0)
    run = simulate(4, 0.02, costs)
    assert run.tasks >= 200 * costs.task / 4
    assert run.tasks >= run.requests / costs.requests_per_second
    assert bound(run, 200, costs) == "look-ups"
    assert simulate(1, 0.02, costs).tasks >= 200 * costs.task


def test_the_program_that_opens_a_pull_request_sends_what_it_gets() -> None:
    (program,) = re.findall(
        r"```python\n(.*?)```",
        (ROOT / "docs" / "guides" / "fleet-delivery.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    seen: list[tuple[str, str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, self.headers["Authorization"], body))
            self.send_response(201)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class gives it
            """Print nothing."""

    document = {"repository": "team/app", "title": "Update", "body": "- a", "branch": "deep-lock/1", "ref": None}
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        code = program.replace("https://git.example", f"http://127.0.0.1:{server.server_port}")
        environ = {**os.environ, "GIT_TOKEN": "t0ken", "NO_PROXY": "*"}
        subprocess.run([sys.executable, "-c", code], input=json.dumps(document), text=True, env=environ, check=True)
        thread.join()
    sent = {"title": "Update", "body": "- a", "head": "deep-lock/1", "base": "main"}
    assert seen == [("/api/v1/repos/team/app/pulls", "token t0ken", sent)]
