"""A child process for the tests of `unet_core.jobs.served`: it repeats what it is sent, or misbehaves as asked."""

from __future__ import annotations

import json
import os
import sys
import time

from unet_core.jobs.served import IDLE_SECONDS, Message, serve


def answer(question: Message) -> Message:
    """Return the question, after doing what its values say."""
    values = question.values
    if "note" in values:
        with open(values["note"], "a", encoding="utf-8") as file:
            file.write("x")
    if "print" in values:
        print(values["print"], flush=True)
    if "exit" in values:
        os._exit(values["exit"])
    if "environment" in values:
        return Message({"value": json.dumps(os.environ[values["environment"]])})
    time.sleep(values.get("sleep", 0))
    return question


if __name__ == "__main__":
    serve(answer, float(sys.argv[1]) if len(sys.argv) > 1 else IDLE_SECONDS)
