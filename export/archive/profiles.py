"""How TorchServe runs an archive's model: two named profiles, written to `model-config.yaml`."""

from __future__ import annotations

from ...errors import InputError

_CONFIG = """\
# How TorchServe runs this model: the profile {profile}. The number of workers is the server's business.
batchSize: {batch_size}
maxBatchDelay: 1
responseTimeout: 60
startupTimeout: 120
"""

# Batches form only while requests wait for TorchServe's least delay, 1 ms: with 0 it would wait 100 ms. A batch of 1
# does not wait and answers a lone client a millisecond sooner; of many clients fewer are answered in a second.
PROFILES = {"throughput": 64, "latency": 1}
"""Requests in a batch, at most, by profile."""


def model_config(profile: str) -> str:
    """Return the lines of `model-config.yaml`. Raises InputError for a profile that does not exist."""
    if profile not in PROFILES:
        raise InputError(
            f"There is no profile {profile!r}. Expected one of: {', '.join(PROFILES)}.", code="LX-ARCHIVE-023"
        )
    return _CONFIG.format(profile=profile, batch_size=PROFILES[profile])
