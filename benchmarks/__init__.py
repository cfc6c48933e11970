"""Measurements, each with a command of its own; docs/ holds what they found."""
