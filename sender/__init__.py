"""The sending program: camera, file or sample to a receiver. `python -m sender URL`."""
