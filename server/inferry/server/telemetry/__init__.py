"""What the gateway counts of itself, and how that is told: plain numbers, and their text."""
