"""What was missed: subscriptions watched and repaired, changes swept, results held against the record."""
