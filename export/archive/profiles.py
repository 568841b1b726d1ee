"""How TorchServe runs an archive's model: two named profiles, or batches of one's own, in `model-config.yaml`."""

from __future__ import annotations

from ...errors import InputError

CONFIG = "model-config.yaml"

_CONFIG = """\
# How TorchServe runs this model: {what}. The number of workers is the server's business.
batchSize: {batch_size}
maxBatchDelay: {batch_delay}
responseTimeout: 60
startupTimeout: 120
"""

# Batches form only while requests wait for TorchServe's least delay, 1 ms: with 0 it would wait 100 ms. A batch of 1
# does not wait and answers a lone client a millisecond sooner; of many clients fewer are answered in a second.
PROFILES = {"throughput": 64, "latency": 1}
"""Requests in a batch, at most, by profile."""
LEAST_DELAY = 1
"""ms for which a batch of a profile waits for more requests."""
_MOST_SIZE, _MOST_DELAY = 10_000, 60_000


def model_config(profile: str, batch_size: int | None = None, batch_delay: int | None = None) -> str:
    """Return the lines of `model-config.yaml`: a profile's, or those of batches with a size and a delay of one's own.

    `batch_size` in requests and `batch_delay` in ms; what is None is the profile's. Raises InputError for a profile
    that does not exist, and for numbers that are out of range.
    """
    if profile not in PROFILES:
        raise InputError(
            f"There is no profile {profile!r}. Expected one of: {', '.join(PROFILES)}.", code="LX-ARCHIVE-023"
        )
    size = PROFILES[profile] if batch_size is None else batch_size
    delay = LEAST_DELAY if batch_delay is None else batch_delay
    if not 1 <= size <= _MOST_SIZE or not LEAST_DELAY <= delay <= _MOST_DELAY:
        raise InputError(
            f"Batches of up to {size} requests that wait {delay} ms cannot be packed. Expected 1 to {_MOST_SIZE:,} "
            f"requests (--batch-size) and {LEAST_DELAY} to {_MOST_DELAY:,} ms (--batch-delay).",
            code="LX-LOAD-130",
        )
    own = batch_size is not None or batch_delay is not None
    what = "batches of its own size and delay" if own else f"the profile {profile}"
    return _CONFIG.format(what=what, batch_size=size, batch_delay=delay)
