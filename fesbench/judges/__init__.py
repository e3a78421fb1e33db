"""Networks that fesbench trains itself in order to score: expressions, action units, recognizers."""
