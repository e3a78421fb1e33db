"""The contract of a method: its card, its batches, its registry."""
