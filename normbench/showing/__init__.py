"""What a reader sees of a tier: figures of tables, tests, sweeps and trainings, the ledger, and the page that holds them."""
