"""What people look at: the papers' tables, figures, the report, the closing summary."""
