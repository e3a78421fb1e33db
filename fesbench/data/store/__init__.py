"""The aligned images of a data set with their manifest, as one memory-mapped file."""
