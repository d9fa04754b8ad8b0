"""The step loop and its parts: optimizer, precision, several processes, checkpoints, weight norms, classification."""
