"""What the figures show: noise, other work, a comparison with an earlier test, and reports for CI systems."""
