"""Readers and writers of files; no AiiDA."""
