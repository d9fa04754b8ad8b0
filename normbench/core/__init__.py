"""What everything else stands on: errors of one sentence, files that are there whole or not at all, checked YAML, formatted numbers."""
