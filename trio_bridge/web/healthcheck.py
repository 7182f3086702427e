"""Whether a service near by is ready, for a container's health check: asks ``/readyz`` once and says one line.

Runs every few seconds beside the service, so it imports next to nothing. Never waits longer than `TIMEOUT_S`.
"""

from __future__ import annotations

import http.client
import json
from typing import Final
from urllib.parse import urlsplit

TIMEOUT_S: Final = 3.0
"""For connecting and for the answer; below the usual period of a health check."""


def healthcheck(url: str) -> tuple[bool, str]:
    """Ask the service at `url`.

    Returns:
        Whether it is ready, and one line that says so or why not.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/readyz")
        answer = connection.getresponse()
        why = json.loads(answer.read())["reasons"]
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return False, f"nothing answers at {url}: {reason}"
    except (ValueError, KeyError, TypeError):
        return False, f"{url} is not a trio_bridge: it answered {answer.status} to /readyz"
    finally:
        connection.close()
    ready = answer.status == http.client.OK
    return ready, "ready" if ready else " ".join("; ".join(map(str, why)).split())
