"""A module whose import leaves a thread running: nothing may be forked from who has imported it."""

from __future__ import annotations

import threading

threading.Thread(target=threading.Event().wait, name="left-behind", daemon=True).start()
