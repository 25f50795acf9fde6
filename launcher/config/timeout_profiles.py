"""How long a call to a server may take, by name. Data only: who asks is `launcher.client`."""

from __future__ import annotations

# Seconds for the whole call. `default`: standard calls; `streaming`: streaming responses;
# `ml_inference`: inference; `batch_job`: large batches.
PROFILES = {
    "default": 120,
    "streaming": 1800,
    "ml_inference": 600,
    "batch_job": 3600,
}
