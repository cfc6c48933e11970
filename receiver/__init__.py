"""The receiving program: serves a WHIP endpoint and shows who calls. `python -m receiver`."""
