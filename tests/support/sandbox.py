"""What the tests of the sandbox's server share."""

import socket

LIST = "/crm/v3/objects/contacts?limit=5"
UPDATE = "/crm/v3/objects/contacts/batch/update"
BEARER = {"Authorization": "Bearer sandbox-token"}


def raw(
    port,
    request=b"GET /crm/v3/objects/contacts?limit=5 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sandbox-token\r\n\r\n",
):
    """Every byte the sandbox sends until it closes, and whether it closed with a reset."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        line.sendall(request)
        told = b""
        try:
            while part := line.recv(65536):
                told += part
        except ConnectionResetError:
            return told, True
        return told, False
