"""Talk to a server that was started: `launcher.client.api` is the typed interface for programs."""
