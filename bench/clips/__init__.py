"""Test clips whose content is known."""
