"""Serving the page beside the daemon, for as long as it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connectors.serving import answer_calls, listen
from crmsync import log
from crmsync.config import Config


@contextmanager
def serving_page(config: Config, is_active: Callable[[], bool], typed: Callable[[str], str] = str) -> Iterator[None]:
    """Serve the page until the block ends, where the config has `[web]`; `is_active` says whether this process writes.

    `typed` makes a command of ours one to be typed here.

    Where the port cannot be had, the daemon goes on without the page, and the log says so: another one, which this one
    stands by for, may have it.
    """
    if config.web is None:
        yield
        return
    # Not above: only the daemon needs it, and it takes a while.
    from crmsync.web.app import make_app
    from crmsync.web.snapshot import Watcher

    web, watcher = config.web, Watcher(config, typed)
    address = f"http://{f'[{web.host}]' if ':' in web.host else web.host}:{web.port}/"
    try:
        line = listen(web.host, web.port)
    except OSError as error:
        why = f"{address} cannot be served: {error.strerror}"
        log.get_logger().warning("page_not_served", why=why, next="choose another [web] port, or stop what uses it")
        yield
        return
    log.get_logger().info("page_served", address=address)
    with watcher.watching(), answer_calls(make_app(config, web, watcher, is_active, typed), line, "web"):
        yield
