"""The page in a real browser: seen by somebody who cannot see, without JavaScript, in light and dark, on a phone."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from connectors.sandbox.server import serve
from crmsync.config import load
from crmsync.store.database import open_store
from crmsync.store.schema import distribution, run
from tests.shell.test_plan_report import ready
from tests.support.commands import crmsync, settings_alone
from tests.support.demo import SECRETS
from tests.web.conftest import TOKEN, served
from tests.web.test_page import pages, waiting

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="CHROMIUM IS NOT INSTALLED, SO THE PAGE WAS NOT LOOKED AT")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def test_no_page_shuts_anybody_out(looked_at, browser):
    """Each page is opened once, and looked at in light, in dark and as narrow as a phone."""
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(color_scheme="light", bypass_csp=True)  # the examiner is a script
    page, wrong, axe = context.new_page(), [], Axe()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for path in pages(looked_at):
        page.goto(looked_at.url + path)
        # All but colors are the same in the dark.
        for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            page.emulate_media(color_scheme=scheme)
            found = axe.run(page, options=rules).response
            assert found["passes"] or scheme == "dark", path
            wrong += [
                f"{path}, {scheme}: {each['id']}: {each['nodes'][0]['html'][:200]}" for each in found["violations"]
            ]
        page.set_viewport_size({"width": 360, "height": 740})
        if page.evaluate("document.documentElement.scrollWidth") > 360:
            wrong.append(f"{path} is wider than a phone")
        page.set_viewport_size({"width": 1280, "height": 720})
        page.emulate_media(color_scheme="light")
    context.close()
    assert not wrong


def test_it_is_used_without_javascript_and_on_a_phone(site, browser):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 740})
    page = context.new_page()
    (plan,) = waiting(site)
    page.goto(f"{site.url}/login?next=/runs/{plan}")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name=f"Approve plan {plan}").click()
    page.wait_for_load_state()
    assert page.url == f"{site.url}/"
    assert "Approved and not written yet" in page.content()
    assert waiting(site) == []
    page.get_by_label("Find a person").fill("ada@x.example")
    page.get_by_role("button", name="Find").click()
    page.wait_for_load_state()
    assert "Demo requested" in page.content()
    context.close()


PICTURES = Path(__file__).parents[2] / "docs"


TITLE = """
[[fit]]
name = "Job title is known"
points = 5
when = { field = "title", exists = true }
"""


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    """A site a week after its first run, whose config was edited since, and the report of that plan."""
    folder, now = tmp_path_factory.mktemp("edited"), datetime.now(UTC)
    with (
        pytest.MonkeyPatch.context() as patch,
        settings_alone(patch, SECRETS, now),
        serve(people=300, seed=1, now=now) as sandbox,
    ):
        path = ready(folder, sandbox)
        store = open_store(load(path).state.url)
        try:
            with store.begin() as tx:
                week = timedelta(days=8)
                tx.execute(update(run).values(started=run.c.started - week // timedelta(milliseconds=1)))
                tx.execute(update(distribution).values(day=distribution.c.day - week.days))
        finally:
            store.close()
        text = path.read_text()
        path.write_text(text.replace("mql = { at = 80, drop_below = 70", "mql = { at = 65, drop_below = 55") + TITLE)
        assert path.read_text().count("at = 65") == 1
        patch.chdir(folder)  # so that the report says the commands as most people type them
        planned, report = crmsync("plan", "--html", "plan.html", "--json"), folder / "plan.html"
        assert planned.code == 0, planned.err
        assert crmsync("apply", planned.json["run"], "--yes").code in (0, 4)
        settings = load(path)
    web = type(settings).model_fields["web"].annotation.__args__[0]()
    for site in served(settings.model_copy(update={"web": web})):
        hottest = site.watcher.latest.hottest[0].person
        yield {
            "status-page.png": site.url,
            "person-page.png": f"{site.url}/people/{hottest}",
            "plan-report.png": report.as_uri(),
        }


@pytest.mark.parametrize("name", ["status-page.png", "person-page.png", "plan-report.png"])
def test_the_pictures_of_the_docs_are_of_this_page(tmp_path, browser, name, edited):
    page = browser.new_page(viewport={"width": 1100, "height": 1250})
    page.goto(edited[name])
    assert page.locator("svg[role=img]").first.bounding_box()["width"] > 300
    page.screenshot(path=tmp_path / name)
    page.close()
    if os.environ.get("WRITE_PICTURES"):
        (PICTURES / name).write_bytes((tmp_path / name).read_bytes())
    assert (PICTURES / name).stat().st_size > 10_000, "write it with WRITE_PICTURES=1 pytest tests/web/test_browser.py"
