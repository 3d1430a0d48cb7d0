"""Validation: pure functions over columns of values and a vocabulary of what they may be.

The storey beside ``formats``: it knows neither the engine nor the registries, which hand vocabularies in.
"""

from __future__ import annotations

from validation.inspection import Inspection
from validation.report import Fault, Report
from validation.rules import Relation, Rule, Slot
from validation.spec import Spec
from validation.vocabulary import Vocabulary

__all__ = ["Fault", "Inspection", "Relation", "Report", "Rule", "Slot", "Spec", "Vocabulary"]
