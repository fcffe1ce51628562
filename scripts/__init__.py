"""Run by maintainers from the repository; not installed."""
