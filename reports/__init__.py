"""Pure functions of evidence: results, checklist and other reports."""

from __future__ import annotations

from reports.writing import write_all

__all__ = ["write_all"]
