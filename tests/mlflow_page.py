"""MLflow's own page over a store, in a browser, and the pictures of it that docs/mlflow.md shows.

python tests/mlflow_page.py --build build/quick --paper skipinit --task imagenet --folder docs/mlflow
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from browser import LOOPBACK, Browser, browser
from patience import until

DISMISS = '[data-component-id="mlflow.experiment_page.shared_view.dismiss"]'
# A double click on a column's edge makes it as wide as what stands in it.
WIDEN = """[...document.querySelectorAll(".ag-header-cell")]
    .filter(cell => %s.some(tag => (cell.getAttribute('col-id') || '').includes(tag)))
    .forEach(cell => cell.querySelector('.ag-header-cell-resize').dispatchEvent(new MouseEvent('dblclick', {bubbles: true})))"""
# The button beside a chart's name that shows it alone.
ENLARGE = """(() => {
    let card = [...document.querySelectorAll('*')].find(e => !e.children.length && e.textContent === 'curve/train_loss');
    while (card.querySelectorAll('button').length < 2) card = card.parentElement;
    card.querySelector('button').click();
})()"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0


def kill(process: subprocess.Popen) -> None:
    """A server with the processes that do its work."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def mlflow_server(folder: Path, store: Path | None = None) -> Iterator[tuple[int, subprocess.Popen]]:
    """The port and the process of a server whose files are in `folder`; store: its sqlite file, if it is another."""
    port = free_port()
    words = ["--backend-store-uri", f"sqlite:///{store or folder / 'server.db'}", "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "mlflow", "server", *words, "--workers", "1"]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=folder, start_new_session=True, **streams)
    try:
        until(lambda: process.poll() is not None or listens(port), "MLflow's server listens")
        assert process.poll() is None, "the server ended"
        yield port, process
    finally:
        kill(process)


@contextmanager
def page_of(store: Path) -> Iterator[tuple[Browser, str]]:
    """A browser, and the address of a server over `store`; the page's assistant is closed."""
    with tempfile.TemporaryDirectory() as folder, mlflow_server(Path(folder), store.resolve()) as (port, _):
        (profile := Path(folder) / "profile").mkdir()
        with browser(profile, LOOPBACK) as page:
            page.open(address := f"http://127.0.0.1:{port}/")
            page.do("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
            page.do("localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false')")
            yield page, address


def open_view(page: Browser, server: str, experiment: str, view: str, mode: str) -> None:
    """An experiment's view, once its runs are there and the word that it is a shared one is put away. mode: TABLE or CHART."""
    page.open("about:blank")
    page.open(f"{server}#/experiments/{experiment}/runs?compareRunsMode={mode}&viewStateShareKey={view}")
    page.until(f"document.querySelector('{DISMISS}') !== null && / matching run/.test(document.body.innerText)")
    page.do(f"document.querySelector('{DISMISS}').click()")


def text(page: Browser) -> str:
    return page.do("document.body.innerText")


def take_pictures(build: Path, paper: str, task: str, folder: Path) -> None:
    from mlflow import MlflowClient

    store = build.parent / "mlflow.db"
    experiment = MlflowClient(f"sqlite:///{store}").get_experiment_by_name(f"normbench/{build.name}/{task}").experiment_id
    folder.mkdir(parents=True, exist_ok=True)
    with page_of(store) as (page, server):
        page.size(1500, 640)
        for view, mode, shows in (
            (f"methods-{paper}", "TABLE", "paper_arm"),
            ("failed", "TABLE", "cause"),
            (f"curves-{paper}", "CHART", "Step"),
        ):
            open_view(page, server, experiment, view, mode)
            page.until(f"document.body.innerText.includes('{shows}')")
            page.do(WIDEN % "['paper_arm', 'cause', 'model']")
            if mode == "CHART":
                page.do(ENLARGE)
            page.do("new Promise(done => setTimeout(done, 2000))")
            print(page.picture(folder / f"{view.partition('-')[0]}.png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--paper", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    take_pictures(args.build, args.paper, args.task, args.folder)


if __name__ == "__main__":
    main()
