"""Find a face and bring it to its place, the same way for every subject."""
