"""The runtime: the only owner of state. Admits calls, chooses their lane, keeps count."""
