"""Cells planned, checked, run and resumed."""
