"""What is measured of every exported variant, its golden requests, and the gates it must pass."""
