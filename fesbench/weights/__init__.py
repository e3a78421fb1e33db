"""Pretrained files: where they come from, their digests, their licenses."""
