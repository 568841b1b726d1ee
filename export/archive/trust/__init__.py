"""Who made an archive, and whose code may run: keys, signatures, and the rule that every command follows."""
