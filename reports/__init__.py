"""Records to leaderboard: one table model, and the writers that show it."""
