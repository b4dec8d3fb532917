"""Readers of image files: TIFF, OME-TIFF, PNG, Zarr, OME-Zarr, each as T, C, Z, Y, X."""
