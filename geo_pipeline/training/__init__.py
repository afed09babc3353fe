"""One training loop for every network that is trained here; a network and its loss come to it as a `task.Task`."""
