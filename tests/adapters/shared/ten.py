"""What the tests of all adapters share."""

TEN = (
    *("dr_grpo", "gae", "gdpo", "grpo", "lambdapo", "lampo", "reinforce"),
    *("reinforce_plus_plus", "reinforce_plus_plus_baseline", "rloo"),
)
"""Estimators that between them take every kind of word that a framework hands over."""
