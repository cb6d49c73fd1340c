"""What runs on the compute machine, behind the executable ``hdiff-engine``; no AiiDA."""
