"""What `make bench` measures: budgets and costs (docs/performance.md)."""
