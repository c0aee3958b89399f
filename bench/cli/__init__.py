"""The command line: options, requests, suites, commands. The only room that parses and prints."""
