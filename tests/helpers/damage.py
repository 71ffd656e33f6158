"""Damaged copies of a run directory: each has one file cut, emptied, in another encoding, or with values of no run."""

from __future__ import annotations

import shutil
from pathlib import Path

RECORDS = ("config.json", "label.json", "status.json", "environment.json", "test.json", "previews/samples.json")
TABLES = ("metrics.csv", "steps.csv", "system.csv")
PICTURES = ("previews/input_0.png", "previews/truth_0.png", "previews/00006_0.png")

_WRONG_RECORDS = {
    "empty": b"",
    "null": b"null",
    "list": b"[1, 2]",
    "nested": b"[" * 100_000,
    "latin-1": '{"name": "caf\u00e9"}'.encode("latin-1"),
    "zeros": bytes(300),
    "huge": b'{"name": "' + b"x" * 5_000_000 + b'"}',
}
_WRONG_VALUES = (
    (b"true", b'"x"'),
    (b"false", b"null"),
    (b"6", b"1e999"),
    (b"0", b"-7"),
    (b"1", b"9" * 400),
    (b'"', b'"\\ud800\\u202e\\u0000'),
    (b'"', b"7, "),
    (b"[", b"{"),
)
_WRONG_TABLES = {
    "empty": b"",
    "no columns": b"\n1,2\n",
    "other columns": b"a,b\n1,2\n",
    "words": b"epoch,step,seconds,images_per_second,learning_rate,memory_mb,loss\nx,y,z,a,b,c,d\n",
    "infinite": b"epoch,step,seconds,images_per_second,learning_rate,memory_mb,loss\ninf,inf,nan,inf,nan,inf,inf\n",
    "huge": b"epoch,step,seconds,images_per_second,learning_rate,memory_mb,loss\n" + b"1e300," * 6 + b"1e300\n",
    "short": b"epoch,step,seconds,images_per_second,learning_rate,memory_mb,loss\n1\n\n,,\n",
    "zeros": bytes(300),
}


def variants(name: str, content: bytes) -> dict[str, bytes]:
    """Return damaged contents of a run's file, by what was done to it."""
    half = len(content) // 2
    found = {"cut": content[:half], "not UTF-8": content[:half] + b"\xe8\xff" + content[half:]}
    if name in RECORDS:
        found |= _WRONG_RECORDS
        found |= {f"{old.decode()} as {index}": content.replace(old, new) for index, (old, new) in _indexed()}
    elif name in TABLES:
        found |= _WRONG_TABLES
    else:
        found |= {"empty": b"", "text": b"this is no picture"}
    return found


def _indexed() -> enumerate:
    return enumerate(_WRONG_VALUES)


def damaged_copies(run: Path, folder: Path) -> dict[str, Path]:
    """Copy a run once for each damage; return the copies by the damage's name."""
    copies = {}
    for name in (*RECORDS, *TABLES, *PICTURES):
        for what, content in variants(name, (run / name).read_bytes()).items():
            copy = folder / f"{len(copies):03d}-damaged"
            shutil.copytree(run, copy)
            (copy / name).write_bytes(content)
            copies[f"{name} {what}"] = copy
        copy = folder / f"{len(copies):03d}-damaged"
        shutil.copytree(run, copy)
        (copy / name).unlink()
        if name.endswith(("json", "csv")):
            (copy / name).mkdir()
        copies[f"{name} missing"] = copy
    return copies
