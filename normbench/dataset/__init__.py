"""The published dataset: publishing, describing, checking and comparing it, and checking contributions."""
