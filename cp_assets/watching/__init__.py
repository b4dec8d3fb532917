"""Watching datasets: which plates are new, changed, still being uploaded, or gone."""
