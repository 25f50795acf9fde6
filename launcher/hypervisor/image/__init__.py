"""Building a guest's image: its kernel, its small initial RAM file system, its root."""
