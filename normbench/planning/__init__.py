"""From papers and a tier to runs and jobs: the plan, what a build holds of it, costs, budgets, what a cluster is asked for."""
