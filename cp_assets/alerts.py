"""Alerts: what is said of a run that failed, and to whom.

``alerts`` of ``cp_assets.yaml`` names them; secrets are named by the environment variables that
hold them and never shown.
"""
