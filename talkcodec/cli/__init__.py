"""The `talkcodec` command. Each subcommand imports what it needs when it runs, so that --help is quick."""

from talkcodec.cli.app import main

__all__ = ["main"]
