"""``dispatchcheck report build``: writes the reports of a run folder anew, also of one that was cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import evidence, requirements, sealed
from harness.errors import UsageError
from reports import proof
from reports.writing import write_all

_LISTED = Path(__file__).resolve().parent.parent / "scenarios" / "requirements.toml"


def build(run: Path, *, prove: Path | None = None) -> dict[str, Any]:
    """Write every report of a run folder, and take a kill matrix that was made elsewhere into it.

    Returns:
        The document of ``results.json``.

    Raises:
        UsageError: this is no run folder, it was altered, or the kill matrix cannot be read.
    """
    _check(run)
    if prove is not None:
        if (matrix := proof.read(prove, name="prove.json")) is None:
            raise UsageError(f"there is no kill matrix {str(prove)!r}")
        evidence.write_json(run / "prove.json", matrix)
        sealed.seal(run)
    own = (run / evidence.REQUIREMENTS).is_file()
    return write_all(run, None if own else requirements.load(_LISTED))


def _check(run: Path) -> None:
    if not (run / sealed.SEAL).is_file():
        raise UsageError(f"{run} has no {sealed.SEAL}: it is no run folder")
    altered = sealed.alterations(run)
    if evidence.read_run(run).get("ended_at", 0) is None:
        # It was sealed when it began, and never again: what came since is there, and nobody takes it for a whole run.
        altered = [line for line in altered if not line.startswith("added: evidence/")]
    if altered:
        more = f" and {len(altered) - 3} more" if len(altered) > 3 else ""
        raise UsageError(f"{run.name} was altered since it was written: {'; '.join(altered[:3])}{more}")
