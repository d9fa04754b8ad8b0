"""Running what was planned: jobs, records, progress, collected tables, the import into MLflow, golden runs."""
