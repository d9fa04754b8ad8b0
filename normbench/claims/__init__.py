"""What a claim can say and how it is decided: statistics, the kinds of test, verdicts. Knows samples and series, no run and no file."""
