"""When which route was hidden: the times at which a fault took failed attempts off the wire."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.faults import Fault
from harness.journal import Journal
from harness.model import Hidden


@dataclass(slots=True)
class _Spell:
    fault: Fault
    since: int
    until: int | None = None


class Darkness:
    """The spells of the faults of one place, by positions in the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._spells: list[_Spell] = []

    @property
    def hidden(self) -> tuple[Hidden, ...]:
        """Every route that was hidden, and when."""
        return tuple(
            Hidden(route, spell.since, spell.until)
            for spell in self._spells
            for route in sorted(spell.fault.leaves_no_trace)
        )

    def falls(self, fault: Fault) -> None:
        """From now on, what the fault strikes leaves no trace."""
        if fault.leaves_no_trace:
            self._spells.append(_Spell(fault, len(self._journal)))

    def lifts(self, *faults: Fault) -> None:
        """From now on it does."""
        now = len(self._journal)
        for spell in self._spells:
            if spell.fault in faults and (spell.until or math.inf) > now:
                spell.until = now

    def lifts_but_for(self, *faults: Fault) -> None:
        """A process was started, with nothing wrong in its environment but these faults."""
        self.lifts(*(s.fault for s in self._spells if s.fault not in faults and not s.fault.on_the_wire))
