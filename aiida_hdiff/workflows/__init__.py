"""Workchains: what runs after what, and what to do when it fails."""
