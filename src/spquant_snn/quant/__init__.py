"""From a float network to one whose weights and membranes hold a few bits.

Nothing is imported here, so that ``grids`` and ``fold`` serve machines without torch.
"""
