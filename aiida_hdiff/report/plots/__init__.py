"""The figures of a study, one module each; matplotlib is imported when a figure is made."""
