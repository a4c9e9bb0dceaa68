"""What is sampled into the history store, how often, and by whom. One file per family."""
