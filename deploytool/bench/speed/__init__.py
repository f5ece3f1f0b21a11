"""Speed benchmarks: ratios measured in one run."""
