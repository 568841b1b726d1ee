"""How much a command prints: everything, results alone, or more than usual. It holds for this process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Output:
    """What was asked for with --quiet and --verbose."""

    quiet: bool = False
    """Whether progress is left out."""
    verbose: bool = False
    """Whether progress has times, and errors have tracebacks."""
    started: float = field(default_factory=time.monotonic)
    """When the command began, by the monotonic clock in seconds."""

    def reset(self) -> None:
        """Print as usual; the time begins anew."""
        self.quiet = self.verbose = False
        self.started = time.monotonic()


output = Output()
