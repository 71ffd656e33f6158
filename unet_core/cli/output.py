"""What a command prints: text for people, or one JSON document."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, TextIO


@dataclass(frozen=True)
class Output:
    """Where a command's result goes: as JSON or as text for people."""

    stream: TextIO
    as_json: bool

    def result(self, document: Any, text: str) -> None:
        """Write the result: `document` with --json, else `text`."""
        if self.as_json:
            text = json.dumps(_finite(document), indent=2)
        self.stream.write(text + "\n")
        self.stream.flush()


def _finite(value: Any) -> Any:
    """Replace what JSON has no word for (NaN and infinities) by null."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
