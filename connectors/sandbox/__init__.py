"""Both CRMs on loopback: a stateful stand-in that speaks the vendors' wire formats, for demos and for every test."""
