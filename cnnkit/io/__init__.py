"""Files written atomically and read within limits."""
