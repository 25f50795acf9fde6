"""For all suites: the same result on every run, and from wherever they are started."""

from __future__ import annotations

import signal
import urllib.request

from hypothesis import HealthCheck, Phase, settings

# Property tests: no seed, no clock, no stored examples.
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

# A shell starts what is in the background (`make test &`) with Ctrl-C ignored, which every child
# would inherit: those of our tests could not be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Servers of tests are on this machine: a proxy that it has for the rest of the world is not asked.
urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))
