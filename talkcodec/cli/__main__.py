"""python -m talkcodec.cli, for an environment without the script."""

from talkcodec.cli.app import main

main()
