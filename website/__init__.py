"""Builds the documentation site: the pages of `docs/`, and a reference generated from the code it documents."""
