"""The host: its configuration file, its checks, its preparation, its units."""
