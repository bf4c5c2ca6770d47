"""Metrics of models: functions from arrays to frozen dataclasses."""
