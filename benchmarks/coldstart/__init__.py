"""How long real servers take until they are healthy: plain, by vllmd cold, by vllmd forked."""
