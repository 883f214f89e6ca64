"""Test clips with known content."""
