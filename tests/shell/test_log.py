"""The log: events as they are promised, and never a secret or a person, however they got into the text."""

import json
import logging

import pytest
import structlog
from pydantic import SecretStr

from crmsync import log
from crmsync.config import config_class
from crmsync.errors import Unavailable, quote_crm
from crmsync.redaction import HIDDEN, hide_secrets, secrets_of

CANARY = "canary-3f9d1c7e55"


@pytest.fixture(autouse=True)
def _as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in log.LIBRARIES:
        logging.getLogger(name).setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.fixture
def told(capsys):
    """What came out on stderr; stdout is for results and stays empty."""

    def read():
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    return read


def test_json_has_one_event_a_line_with_its_keys(told):
    log.start_logging("json", logging.INFO)
    log.get_logger(run="r1", crm="hubspot").info("crm_done", pulled=3)
    event = json.loads(told())
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "crm_done", "level": "info", "run": "r1", "crm": "hubspot", "pulled": 3}


def test_console_is_for_people(told):
    log.start_logging("console", logging.INFO)
    log.get_logger().info("crm_done", pulled=3)
    said = told()
    assert "crm_done" in said
    assert "pulled=3" in said


def test_what_is_below_the_level_is_not_told(told):
    log.start_logging("json", logging.WARNING)
    log.get_logger().info("crm_done")
    logging.getLogger("urllib3.connectionpool").info("Starting new connection")
    assert told() == ""


def test_libraries_are_quiet_unless_everything_is_asked_for(told):
    log.start_logging("json", logging.INFO)
    logging.getLogger("apscheduler.scheduler").info("Added job")
    assert told() == ""
    log.start_logging("json", logging.DEBUG)
    logging.getLogger("urllib3.connectionpool").debug("GET /crm/v3/objects/contacts 200")
    assert json.loads(told())["event"] == "GET /crm/v3/objects/contacts 200"


def _raise():
    token = CANARY
    raise ValueError(f"could not log in with {len(token)} characters")


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_does_not_show_local_variables(told, style):
    log.start_logging(style, logging.DEBUG)
    try:
        _raise()
    except ValueError as error:
        log.get_logger().error("fault", exc_info=error)
    said = told()
    assert "ValueError" in said
    assert "_raise" in said
    assert CANARY not in said


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize(
    "leak",
    [
        lambda: log.get_logger().info("call", url=f"https://x/?hapikey={CANARY}"),
        lambda: log.get_logger().info("call", headers={"Authorization": f"Bearer {CANARY}"}),
        lambda: log.get_logger().info("call", body=[{"deep": (CANARY,)}]),
        lambda: log.get_logger().info(f"call with {CANARY}"),
        lambda: log.get_logger().info("call", thing=ValueError(CANARY)),
        lambda: log.get_logger(account=CANARY).info("call"),
        lambda: logging.getLogger("urllib3").debug("header: %s", CANARY),
        lambda: logging.getLogger("simple_salesforce").debug("x", extra={"session": CANARY}),
        lambda: logging.getLogger("hubspot").error("failed", exc_info=ValueError(CANARY)),
        lambda: log.get_logger().error("failed", exc_info=ValueError(f"401 for {CANARY}")),
    ],
)
def test_a_known_secret_never_comes_out(told, style, leak):
    log.start_logging(style, logging.DEBUG, [CANARY])
    leak()
    said = told()
    assert said
    assert CANARY not in said


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"'Authorization': 'Bearer {CANARY}'",
        f"sent bearer {CANARY} to it",
        f'{{"access_token": "{CANARY}", "scope": "api"}}',
        f"grant_type=client_credentials&client_secret={CANARY}&x=1",
        f"refresh_token={CANARY}",
        f"password={CANARY}",
        f"assertion={CANARY}",
    ],
)
def test_what_looks_like_a_secret_is_hidden_even_where_it_is_not_known(text):
    hidden = hide_secrets(text, [])
    assert CANARY not in hidden
    assert log.HIDDEN in hidden


@pytest.mark.parametrize("name", ["authorization", "access_token", "client_secret", "password", "hubspot_token"])
def test_a_key_that_says_secret_hides_its_value(told, name):
    log.start_logging("json", logging.INFO)
    log.get_logger().info("call", **{name: CANARY})
    assert json.loads(told())[name] == log.HIDDEN


def test_ordinary_words_stay(told):
    log.start_logging("json", logging.INFO, ["short"])
    log.get_logger().info("call", said="a short basic sentence about tokens and passwords", count=None, ok=True)
    event = json.loads(told())
    assert event["said"] == "a short basic sentence about tokens and passwords"
    assert event["count"] is None
    assert event["ok"] is True


@pytest.mark.parametrize("name", ["password", "passfile", "sslpassword", "scram_client_key"])
def test_a_secret_in_the_query_of_an_address_is_known(name):
    url = f"postgresql://db.example/state?user=u&{name}=fo%2Fur&sslmode=verify-full"
    assert secrets_of(config_class()(state={"url": url}, bands={"cold": 0})) == ["fo/ur"]


def test_the_secrets_of_a_config_are_known():
    config = config_class()(
        hubspot={"token": SecretStr("one")},
        salesforce={"instance_url": "http://127.0.0.1:1", "client_secret": "two", "private_key": "three"},
        state={"url": "postgresql://user:four@host/db"},
        bands={"cold": 0},
    )
    assert set(secrets_of(config)) == {"one", "two", "three", "four"}


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize(
    "leak",
    [
        lambda: log.get_logger().error("failed", exc_info=_chain()),
        lambda: log.get_logger().error("failed", why=KeyError("Ada Lovelace")),
        lambda: log.get_logger().info(
            "done", problems=[f"hubspot: it said {quote_crm('Ada Lovelace is no “option”')} (X)"]
        ),
        lambda: log.get_logger().info("done", why=f"cut off: {quote_crm('Ada Lovelace')}"[:-3]),
        lambda: log.get_logger().info("call", said="GET https://x.example/contacts?name=Ada+Lovelace&x=1 200"),
        lambda: logging.getLogger("urllib3").debug('"GET /services/data/v1/query/?q=Ada%20Lovelace HTTP/1.1" 200'),
        lambda: log.get_logger().info("call", said="POST /contacts/v1/contact/email/Ada.Lovelace@x.example/profile"),
        lambda: log.get_logger().info("call", said="email=Ada.Lovelace%40x.example"),
    ],
)
def test_nobody_is_named_in_a_log(told, style, leak):
    log.start_logging(style, logging.DEBUG)
    leak()
    said = told()
    assert said
    assert "Ada" not in said
    assert "Lovelace" not in said


def _chain():
    """An error of ours that was made of one of a driver's."""
    name = "Ada Lovelace"
    try:
        try:
            raise ValueError(f"{name} is no number")
        except ValueError as error:
            raise Unavailable("hubspot", "its answer cannot be read") from error
    except Unavailable as error:
        return error


def test_a_traceback_says_what_our_own_errors_say_and_of_others_where_they_were_raised(told):
    log.start_logging("console", logging.INFO)
    log.get_logger().error("failed", exc_info=_chain())
    said = told()
    assert "Unavailable: its answer cannot be read" in said
    assert f"ValueError: {HIDDEN}" in said
    assert "in _chain" in said


def test_addresses_of_servers_stay(told):
    log.start_logging("json", logging.INFO)
    log.get_logger().info("failed", problems=["the state at postgresql://crm@db.acme.example/state does not answer"])
    assert "postgresql://crm@db.acme.example/state" in told()
