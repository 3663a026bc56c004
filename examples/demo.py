"""Shows Inferry at work: a gateway, a backend, a quick task and a long one, over plain HTTP.

Run it with ``make demo``. It needs free ports and a temporary directory, and leaves nothing behind.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

INFERRY = Path(sys.executable).with_name("inferry")
WITHIN_S = 30
#: The exit status of what Ctrl-C stopped.
INTERRUPTED = 130
TYPE = "test-processing"

#: No proxy: everything here is on this machine.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
console = Console(highlight=False, soft_wrap=True)


class DemoError(Exception):
    """Something did not go as it should; the message says what."""


class Gateway:
    """A gateway's REST, as any client sees it."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def open(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> IO[bytes]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        try:
            answer: IO[bytes] = opener.open(request, timeout=WITHIN_S)
        except urllib.error.HTTPError as error:
            raise DemoError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return answer

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        with self.open(method, path, body) as answer:
            return json.load(answer)

    def events(self, task_id: str) -> Iterator[dict[str, Any]]:
        """Reads the server-sent events of a task up to its end."""
        with self.open("GET", f"/api/tasks/{task_id}/events") as stream:
            for line in stream:
                if line.startswith(b"data:"):
                    yield json.loads(line.removeprefix(b"data:"))


@contextmanager
def running(log: Path, *arguments: str) -> Iterator[list[str]]:
    """Runs ``inferry`` in the background and gives the words of its ready line."""
    with (
        log.open("wb") as errors,
        # Ctrl-C is for the demo, which stops them in order.
        subprocess.Popen(
            [INFERRY, *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            if "ready" not in words:
                raise DemoError(f"inferry {arguments[0]} did not start:\n{log.read_text()}")
            yield words
        finally:
            process.terminate()
            try:
                process.wait(WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise DemoError(f"inferry {arguments[0]} did not stop") from None


def run_synchronous(gateway: Gateway) -> None:
    console.print("\n[bold]A quick task: the call returns its result[/]")
    body = {"type": TYPE, "async": False, "payload": {"test": "data"}}
    task = gateway.call("POST", "/api/tasks", body)
    expect(task["status"], "COMPLETED")
    console.print(f"  {task['id']}  {task['status']}  {json.dumps(task['result'])}", markup=False)


def run_asynchronous(gateway: Gateway) -> None:
    console.print("\n[bold]A long task: accepted, then live progress by server-sent events[/]")
    payload = {"seconds": 3, "steps": 12, "result": {"scenes": 7}}
    task = gateway.call("POST", "/api/tasks", {"type": TYPE, "async": True, "payload": payload})
    columns = (TextColumn("  {task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console) as bar:
        row = bar.add_task("PENDING", total=100)
        for event in gateway.events(task["id"]):
            bar.update(row, completed=event["progress"], description=event["status"])
    final = gateway.call("GET", f"/api/tasks/{task['id']}")
    expect(final["status"], "COMPLETED")
    expect(final["progress"], 100)
    console.print(f"  {final['id']}  {json.dumps(final['result'])}", markup=False)


def expect(got: object, wanted: object) -> None:
    if got != wanted:
        raise DemoError(f"expected {wanted!r}, got {got!r}")


def print_next_steps() -> None:
    console.print("\n[bold]Go on by hand[/]: `make serve` in one terminal, and in another:\n")
    # The guide's own lines, on the guide's own ports.
    steps = f"""\
  inferry=.venv/bin/inferry
  $inferry mock &                            # registers itself, as http://localhost:8080
  $inferry register http://localhost:9000    # a backend of your own
  TOKEN=$($inferry token)
  curl -X POST http://localhost:8787/api/tasks \\
    -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
    -d '{{"type": "{TYPE}", "async": false, "payload": {{"test": "data"}}}}'
  curl -X POST http://localhost:8787/api/tasks \\
    -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
    -d '{{"type": "{TYPE}", "async": true, "payload": {{"seconds": 20, "steps": 10}}}}'
  curl http://localhost:8787/api/tasks/<task_id> -H "Authorization: Bearer $TOKEN"
  curl -N http://localhost:8787/api/tasks/<task_id>/events -H "Authorization: Bearer $TOKEN"
  $inferry submit {TYPE} '{{"seconds": 5}}' --follow

  Page http://localhost:8787/ui/ ($inferry ui opens it signed in)
  REST http://localhost:8787/docs   OpenAPI http://localhost:8787/openapi.json   \
gRPC localhost:50051
"""
    console.print(steps, markup=False)


def main() -> int:
    for number in (signal.SIGHUP, signal.SIGTERM):
        # As Ctrl-C: what it started ends with it.
        signal.signal(number, signal.default_int_handler)
    # The demo's own gateway: no setting or token of the caller's may steer it.
    for name in [name for name in os.environ if name.startswith("INFERRY_")]:
        del os.environ[name]
    directory = Path(tempfile.mkdtemp(prefix="inferry-demo-"))
    data = str(directory / "data")
    try:
        with ExitStack() as stack:
            flags = ["--port", "0", "--grpc-port", "0", "--data-dir", data]
            words = stack.enter_context(running(directory / "serve.log", "serve", *flags))
            url = words[2].removeprefix("rest=")
            console.print(f"Gateway on {url} with its data in {data}")
            token = subprocess.check_output([INFERRY, "token", "--data-dir", data], text=True)
            os.environ["INFERRY_TOKEN"] = token.strip()
            flags = ["--port", "0", "--gateway", url]
            words = stack.enter_context(running(directory / "mock.log", "mock", *flags))
            console.print(f"Backend on {words[3]}, registered as {words[4].removeprefix('id=')}")
            gateway = Gateway(url, token.strip())
            run_synchronous(gateway)
            run_asynchronous(gateway)
        print_next_steps()
    except (DemoError, OSError, subprocess.SubprocessError) as error:
        Console(stderr=True).print(f"the demo failed: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        Console(stderr=True).print("\nthe demo was stopped, and leaves nothing behind")
        return INTERRUPTED
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
