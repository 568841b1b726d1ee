"""How much a server serves, with the spread of what was measured, and how many machines a load needs."""
