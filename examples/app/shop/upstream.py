"""What this service asks of the services below it, over HTTP."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

PATIENCE = 3

# Never by a proxy: the services of one shop stand side by side.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url: str) -> Any:
    """The JSON at `url`. Raises OSError when nobody answers or the answer is not 2xx, ValueError when it is not JSON."""
    if not url.startswith("http://"):
        raise ValueError(f"{url!r} is not an http address")
    with _opener.open(url, timeout=PATIENCE) as answer:
        return json.load(answer)
