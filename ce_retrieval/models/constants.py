"""Numbers that a network has in torch and in numpy."""

# Factor of a residual branch. Adam moves all weights of a kernel by equal steps: undamped, the first hundred steps would
# multiply the maps.
BRANCH = 0.25
SWEEPS = 8  # relaxation sweeps of `smooth_fill` per level
COMPACT_LAYERS = ("cells", "context")  # of `compact.Compact`, from the input to the output
