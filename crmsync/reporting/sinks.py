"""Calls to the addresses of alerts and of the heartbeat, which may be down or slow: never more than some seconds."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import requests

from crmsync.counts import count_of

DEADLINE = 10.0
"""Seconds that all addresses together may take; a run waits no longer for them."""


class Message(NamedTuple):
    """What an address is told: `good` where nothing is wrong any more."""

    title: str
    lines: Sequence[str]
    good: bool = False


def call_addresses(
    messages: Mapping[str, Message], heartbeat: str | None = None, seconds: float = DEADLINE
) -> dict[str, str]:
    """Send each address its message, and ask for the `heartbeat`, all at once.

    Returns by address why it failed, and nothing of those that took it. An address that has not answered in time has
    failed, though the message may still arrive.
    """
    acts = {url: partial(_send, sink, messages[url]) for url, sink in _make_sinks(messages).items()}
    if heartbeat is not None:
        acts[heartbeat] = partial(_beat, heartbeat, seconds)
    said: dict[str, str] = {}
    calls = [threading.Thread(target=_call, args=(said, url, act), daemon=True) for url, act in acts.items()]
    end = time.monotonic() + seconds
    for call in calls:
        call.start()
    for call in calls:
        call.join(max(0.0, end - time.monotonic()))
    heard = dict(said)
    return {url: why for url in acts if (why := heard.get(url, _describe_silence(seconds)))}


def _describe_silence(seconds: float) -> str:
    return f"no answer within {count_of(seconds, 'second')}"


def _call(said: dict[str, str], url: str, act: Callable[[], str]) -> None:
    try:
        said[url] = act()
    except Exception as error:  # noqa: BLE001  whatever a service's own code does, the run goes on
        said[url] = f"it could not be called ({type(error).__name__})"


def _make_sinks(urls: Collection[str]) -> dict[str, Any]:
    """What sends to each address; `None` for an address of no service."""
    if not urls:
        return {}
    # What it brings along is deprecated in parts, which is nothing that an admin could mend.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Here, as it takes half a second, and only who has something to tell needs it.
        import apprise

        # It would log addresses with their tokens.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        in_memory = apprise.PersistentStoreMode.MEMORY
        asset = apprise.AppriseAsset(app_id="crmsync", async_mode=False, storage_mode=in_memory)
        made = {url: apprise.Apprise(asset=asset) for url in urls}
        return {url: sink if sink.add(url) else None for url, sink in made.items()}


def _send(sink: Any, message: Message) -> str:
    if sink is None:
        return "there is no service of this name, or the rest of its address is not as it needs it"
    kind, body = "success" if message.good else "warning", "\n".join(message.lines)
    taken = sink.notify(body, title=message.title, notify_type=kind, body_format="text")
    return "" if taken else "it did not accept the message, or could not be reached"


def _beat(url: str, seconds: float) -> str:
    try:
        status = requests.get(url, timeout=seconds).status_code
    except requests.Timeout:
        return _describe_silence(seconds)
    except requests.RequestException:
        return "it could not be reached"
    return "" if status < 400 else f"it answered with status {status}"
