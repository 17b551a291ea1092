"""Work that is never done: gates that prune channels, rates held down, and the smaller network that is left."""
