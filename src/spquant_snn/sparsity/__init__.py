"""Work that is never done: gates that close channels, rates held down, and the smaller network that is left."""
