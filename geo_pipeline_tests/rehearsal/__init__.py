"""The rehearsal of the profile `paper`."""
