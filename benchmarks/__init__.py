"""How fast and how small vllmd is, beside what else starts servers in a container."""
