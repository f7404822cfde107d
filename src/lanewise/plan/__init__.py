"""From what a task costs and what a host's lanes cost to routes. Pure: no clock, thread or machine."""
