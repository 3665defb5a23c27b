"""What several scripts of the workflow share."""
