"""What the cells of a run share, opened once: data, split, requests, judges, feature cache."""
