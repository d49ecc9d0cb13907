"""The page in a real browser: seen by somebody who cannot see, without JavaScript, in light and dark."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from crmsync.config import load
from tests.support.demo import environment
from tests.web.conftest import TOKEN, served
from tests.web.test_page import pages, waiting

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="CHROMIUM IS NOT INSTALLED, SO THE PAGE WAS NOT LOOKED AT")


@pytest.fixture
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_shuts_anybody_out(site, browser, scheme):
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(color_scheme=scheme, bypass_csp=True)  # the examiner is a script
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for path in pages(site):
        page.goto(site.url + path)
        found = Axe().run(page)
        wrong += [f"{path}: {each['id']}: {each['nodes'][0]['html'][:200]}" for each in found.response["violations"]]
    assert not wrong


def test_it_is_used_without_javascript_and_on_a_phone(site, browser):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 740})
    page = context.new_page()
    (plan,) = waiting(site)
    page.goto(f"{site.url}/login?next=/runs/{plan}")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name=f"Approve plan {plan}").click()
    assert page.url == f"{site.url}/"
    assert "Approved and not written yet" in page.content()
    assert waiting(site) == []
    page.get_by_label("Find a person").fill("ada@x.example")
    page.get_by_role("button", name="Find").click()
    assert "Demo requested" in page.content()


def test_nothing_is_wider_than_a_phone(site, browser):
    page = browser.new_context(viewport={"width": 360, "height": 740}).new_page()
    for path in pages(site):
        page.goto(site.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


PICTURES = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["status-page.png", "person-page.png"])
def test_the_pictures_of_the_docs_are_of_this_page(tmp_path, browser, name, monkeypatch):
    command = [sys.executable, "-m", "crmsync", "demo", "--people", "300", "--folder", str(tmp_path / "demo"), "--json"]
    subprocess.run(command, env=environment(), capture_output=True, check=True, timeout=100)
    monkeypatch.delenv("CRMSYNC_SECRETS", raising=False)
    settings = load(tmp_path / "demo" / "config.toml")
    web = type(settings).model_fields["web"].annotation.__args__[0]()
    for site in served(settings.model_copy(update={"web": web})):
        page = browser.new_context(viewport={"width": 1100, "height": 900}).new_page()
        hottest = site.watcher.latest.hottest[0].person
        page.goto(site.url + {"status-page.png": "/", "person-page.png": f"/people/{hottest}"}[name])
        assert page.locator("svg[role=img]").first.bounding_box()["width"] > 300
        page.screenshot(path=tmp_path / name)
        if os.environ.get("WRITE_PICTURES"):
            (PICTURES / name).write_bytes((tmp_path / name).read_bytes())
    assert (PICTURES / name).stat().st_size > 10_000, "write it with WRITE_PICTURES=1 pytest tests/web/test_browser.py"
