"""Outgoing HTTP: to listed hosts and checked addresses only."""
