"""The kit that every method is tested with: against its reference in float64, under autograd, in networks."""
