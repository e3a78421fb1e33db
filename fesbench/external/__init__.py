"""Images and models that fesbench did not make: read, run where they are networks, and scored."""
