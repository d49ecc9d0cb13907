"""Calls as HubSpot's webhooks make them, signed by its own client."""

import http.client
import json
import socket
import time

from hubspot.utils.signature import Signature

SECRET = "webhook-secret-4711"
PUBLIC = "https://crmsync.acme.example/hubspot"
PORTAL = "4711"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as line:
        return line.getsockname()[1]


def event(contact_id, portal=PORTAL, kind="contact.propertyChange", **more):
    return {
        "objectId": int(contact_id), "portalId": int(portal), "subscriptionType": kind, "propertyName": "jobtitle",
        "propertyValue": "CEO", "eventId": 1, "subscriptionId": 7, "appId": 9, "occurredAt": 1, **more,
    }  # fmt: skip


def millis(off=0.0):
    """Now, and so many minutes off it, as HubSpot's header has it."""
    return str(int((time.time() + off * 60) * 1000))


def signed(body, at=None, secret=SECRET, address=PUBLIC):
    """HubSpot's headers, signed by its own client and not by the code under test."""
    at = at or millis()
    right = Signature.get_signature(secret, body.decode(), "v3", http_uri=address, http_method="POST", timestamp=at)
    return {"X-HubSpot-Signature-v3": right, "X-HubSpot-Request-Timestamp": at}


def call(port, path, body, headers=None, method="POST", **more):
    """Status and body of the answer."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        line.request(method, path, body, {**(signed(body) if headers is None else headers), **more})
        answer = line.getresponse()
        return answer.status, answer.read()
    finally:
        line.close()


def text(*events):
    return json.dumps(events).encode()
