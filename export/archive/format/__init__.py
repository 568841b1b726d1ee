"""The bytes of an archive: its zip form, budgets, members, and what may not be in them."""
