"""What is counted of tasks over time: cells that add up. Pure."""
