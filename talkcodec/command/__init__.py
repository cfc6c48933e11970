"""What every command line program shares: options, exit codes, errors as sentences. Light, so that --help is quick."""
