"""Training of restoration networks (the hybrid rung): real coded streams, random samples, losses, validation."""
