"""Holds an artifact against what it must be: gates in order of cost, one verdict, one report."""

from processors.validate.policy import ValidationPolicy
from processors.validate.validator import Validator, validate
from processors.validate.verdict import GateResult, Verdict

__all__ = ["GateResult", "ValidationPolicy", "Validator", "Verdict", "validate"]
