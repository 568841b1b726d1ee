"""How good a model's answers are: metrics, their intervals, calibration, robustness, mistakes, diagnostics."""
