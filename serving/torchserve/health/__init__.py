"""Whether a server works: workers proven ready, probes, what its logs say, what runs now."""
