"""Shared by the rooms: units, the base calculation job, the base restart workchain, protocols."""
