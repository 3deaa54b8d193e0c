"""The site as Sphinx builds it; `make docs` does the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import csl_plugin

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for package in ("furo", "myst_nb", "sphinx_copybutton", "sphinx_design"):
        pytest.importorskip(package, reason="the extra docs is not installed")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q"]
    done = subprocess.run([*command, ROOT / "docs", out], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return out


def _links(page):
    return re.findall(r'href="([^"]*)"', page.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_no_link_within_the_site_leads_nowhere(site):
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "check_site.py", site], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_every_name_of_the_root_is_linked_where_it_is_documented(site):
    links = _links(site / "api" / "index.html")
    for name in csl_plugin.__all__:
        assert [link for link in links if re.fullmatch(rf"\w+\.html#csl_plugin\.\w+\.{name}", link)], name


@pytest.mark.slow
def test_a_file_that_is_no_page_is_linked_on_the_repository_host(site):
    host = "https://github.com/csl-plugin/csl-plugin"
    assert f"{host}/blob/main/examples/ray_batches.py" in _links(site / "guide" / "scale.html")
    text = (site / "guide" / "fusion.html").read_text(encoding="utf-8")
    assert ">Anomaly scores with regions</" in text  # the title, where the source has the name of the file
    assert ">../results/anomaly.md</" not in text


@pytest.mark.slow
def test_a_page_says_what_it_is_to_those_who_link_it(site):
    text = (site / "guide" / "objects.html").read_text(encoding="utf-8")
    (image,) = re.findall(r'<meta property="og:image" content="https://[^"]*/(_static/[^"]*)">', text)
    assert (site / image).is_file()
    assert '<meta property="og:title" content="From a model to a list of objects">' in text
    assert '<meta property="og:description" content="A fused map says how unusual every pixel is.' in text
    assert '<base href="https://' in (site / "404.html").read_text(encoding="utf-8")
