"""Problems: the built-in chains, reasoning-gym, and files."""
