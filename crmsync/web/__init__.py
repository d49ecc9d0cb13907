"""The status page of the daemon: what is read off the state, and the two things that can be done there."""
