"""Intervals become tables: rows for programs, markdown for people."""
