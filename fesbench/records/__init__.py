"""What a cell leaves behind: scores, signatures, samples, fingerprints."""
