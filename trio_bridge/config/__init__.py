"""What the operator can say, where it was said, and what it comes to."""
