"""Estimators inside the frameworks that people use: TRL, verl, OpenRLHF."""
