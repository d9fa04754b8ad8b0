"""What a method is and where it can stand: hooks, sites, the builder that asks the method at each, ready-made parts."""
