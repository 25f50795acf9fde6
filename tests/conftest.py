"""What holds for every suite.

Property tests give the same result on every run: no seed, no clock, no stored examples.
"""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, Phase, settings

# A shell has what it runs in the background ignore Ctrl-C, and children inherit that: those of the
# tests would never heed the SIGINT that they are sent.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "bounded",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=80,
    phases=[Phase.explicit, Phase.generate],  # shrinking may take minutes; add it to look closer
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("bounded")
