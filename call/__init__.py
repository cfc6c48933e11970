"""The call page: two people, two browsers, one link. `python -m call` waits, `python -m call LINK` joins."""
