"""Row against row: paired comparison, and the regression gate with its baselines and verdicts."""
