"""Protocol files."""
