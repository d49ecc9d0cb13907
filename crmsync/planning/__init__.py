"""Planning: what to change in the CRMs, how much of it at once, and doing it."""
