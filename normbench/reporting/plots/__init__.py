"""One module for each kind of figure, and the style that they share."""
