"""What a check finds, as values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["CheckReport", "Finding", "Severity"]


class Severity(StrEnum):
    """How bad a finding is."""

    HARM = "harm"
    """Something is lost, damaged or contradicts itself."""
    WARNING = "warning"
    """Nothing is lost, but something should be done."""
    NOTE = "note"
    """Nothing needs to be done."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found."""

    severity: Severity
    kind: str
    """``missing``, ``changed``, ``damaged``, ``diverged``, ``orphaned``, ``broken reference``, ..."""
    where: str
    """The table, file, object or record."""
    message: str
    """What is the matter, and what to do."""


@dataclass(frozen=True)
class CheckReport:
    """Everything that a check found, worst first.

    Examples
    --------
    >>> report = CheckReport(findings=(Finding(Severity.NOTE, "orphaned", "x", "..."),), commit=3, files=2)
    >>> report.ok, len(report.of(Severity.HARM))
    (True, 0)
    """

    findings: tuple[Finding, ...] = ()
    commit: int = 0
    """The newest commit when the check began."""
    tables: int = 0
    files: int = 0
    """Data files of tables that were looked at."""
    objects: int = 0
    """Stored artifacts that were looked at."""
    deep: bool = False
    """Whether contents were read, and not only sizes."""

    @property
    def ok(self) -> bool:
        """Whether nothing is harmed."""
        return not self.of(Severity.HARM)

    def of(self, severity: Severity) -> list[Finding]:
        """Return the findings of a severity."""
        return [finding for finding in self.findings if finding.severity is severity]

    @staticmethod
    def sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """Return findings worst first, else as they came."""
        order = list(Severity)
        return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))
