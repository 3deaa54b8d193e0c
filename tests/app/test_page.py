"""The page as gradio builds it; clicked through in `test_browser.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from csl_plugin.app.extra import gradio
from csl_plugin.cli import main
from csl_plugin.errors import MissingExtraError

ROOT = Path(__file__).parents[2]


def test_without_gradio_the_error_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(MissingExtraError, match=r"csl-plugin\[app\]"):
        gradio()
    assert main(["app"]) == 2
    assert "pip install 'csl-plugin[app]'" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_a_port_that_does_not_exist_is_refused(port, capsys):
    assert main(["app", f"--port={port}"]) == 2
    assert "--port: got" in capsys.readouterr().err


BUILT = """
import json, runpy, sys
app = runpy.run_path(sys.argv[1])["app"]
kinds = ("Radio", "Slider", "File")
print(json.dumps({
    "labels": [block.label for block in app.blocks.values() if type(block).__name__ in kinds],
    "analytics": app.analytics_enabled,
    "removed": app.delete_cache,
    "visibility": sorted({function.api_visibility for function in app.fns.values()}),
    "type": type(app).__name__,
}))
"""


@pytest.mark.slow
def test_the_app_of_the_space_is_the_page():
    pytest.importorskip("gradio", reason="the page needs the extra app")
    # By itself: gradio leaves an event loop open, which is an error here.
    command = [sys.executable, "-c", BUILT, str(ROOT / "examples" / "space" / "app.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    built = json.loads(printed)
    assert built["type"] == "Blocks"
    assert len(built["labels"]) == 9
    assert all(built["labels"])
    assert built["analytics"] is False
    assert built["removed"] is not None
    assert built["visibility"] == ["private"]


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1", "a b"])
def test_an_address_of_another_machine_is_refused_at_once(host, capsys):
    assert main(["app", f"--host={host}"]) == 2
    assert "--host" in capsys.readouterr().err


DIRECT = """
import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from csl_plugin.app import build_app, launch

page, codes = build_app(), []
address = launch(page, port=None, block=False)
chosen = ["A cat", None, "RX, no training", None, "superpixels", 3, "mean", 0.5, 64]
body = json.dumps({"data": chosen, "fn_index": 0, "session_hash": "direct"}).encode()
for path in ("run/predict", "api/anew"):
    request = Request(f"{address}gradio_api/{path}", body, {"Content-Type": "application/json"})
    try:
        codes.append(urlopen(request).status)
    except HTTPError as error:
        codes.append(error.code)
print(codes)
page.close(verbose=False)
"""


@pytest.mark.slow
def test_work_is_asked_for_through_the_queue_alone():
    pytest.importorskip("gradio", reason="the page needs the extra app")
    command = [sys.executable, "-c", DIRECT]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed.splitlines()[-1] == "[404, 404]"
