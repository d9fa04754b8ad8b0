"""What people write down, read and checked without torch: papers, tiers, tasks, recipes, method files; and what a run is."""
