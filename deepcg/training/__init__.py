"""The training of both networks; the command line alone imports it."""
