"""Training: the loop, its configuration, what it saves and what it shows.

Nothing is imported here: the command line reads the configuration without torch.
"""
