"""The sensors: one a dataset, which sees plates that are new, changed or gone."""
