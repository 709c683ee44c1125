"""The pages of the task service: files are sent here, and their results found again."""
