"""What is known of a network: as data first, and as text from it."""
