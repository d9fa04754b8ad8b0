"""What the collected runs come to: samples and series of a tier, the ledger of claims, rankings, agreement between tiers, the predictor."""
