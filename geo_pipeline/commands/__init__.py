"""What each subcommand of `geo-pipeline` does; the options stand in cli.py."""
