"""python -m talkcodec: as the script, for an environment without it."""

from talkcodec.cli.app import main

if __name__ == "__main__":
    main()
