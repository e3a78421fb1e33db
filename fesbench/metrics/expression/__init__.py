"""Does a judge see the requested expression."""
