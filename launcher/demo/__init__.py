"""The tiny random-weight model that stands in for a real one where there is no GPU."""
